// Watches replies with graphql-ws, as browsers do. Arguments: address, key, conversation, reply.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, key, conversationId, messageId] = process.argv.slice(2);
const client = createClient({
  url: `${url.replace("http", "ws")}/graphql`,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${key}` },
  retryAttempts: 5,
  retryWait: async () => {},
});
const query = `subscription($conversationId: ID!, $messageId: ID!, $after: String) {
  reply(conversationId: $conversationId, messageId: $messageId, after: $after) {
    ... on ReplyDelta { cursor text }
    ... on ReplyEnded { message { text } }
  }
}`;

let text = "";
// A subscription that graphql-ws repeats after a cut is sent with the variables of now: only our cursor prevents doubled text.
const variables = { conversationId, messageId };
for await (const { data, errors } of client.iterate({ query, variables })) {
  if (errors) throw new Error(JSON.stringify(errors));
  const { cursor, text: more, message } = data.reply;
  if (more) {
    text += more;
    variables.after = cursor;
    console.log(JSON.stringify({ delta: more }));
  }
  if (message) console.log(JSON.stringify({ same: message.text === text, text }));
}
console.log(JSON.stringify({ complete: true }));
await client.dispose();
