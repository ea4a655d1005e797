// Watches a reply with graphql-sse, and asks a query. Arguments: address, key, conversation, reply.
import { createClient } from "graphql-sse";

const [url, key, conversationId, messageId] = process.argv.slice(2);
const client = createClient({
  url: `${url}/graphql`,
  headers: { authorization: `Bearer ${key}` },
  retryAttempts: 0,
});
const query = `subscription($conversationId: ID!, $messageId: ID!) {
  reply(conversationId: $conversationId, messageId: $messageId) {
    ... on ReplyDelta { text }
    ... on ReplyEnded { message { text } }
  }
}`;

for await (const { data } of client.iterate({ query: "{ viewer { displayName } }" })) console.log(JSON.stringify(data));
let text = "";
for await (const { data, errors } of client.iterate({ query, variables: { conversationId, messageId } })) {
  if (errors) throw new Error(JSON.stringify(errors));
  const { text: more, message } = data.reply;
  if (more) {
    text += more;
    console.log(JSON.stringify({ delta: more }));
  }
  if (message) console.log(JSON.stringify({ same: message.text === text, text }));
}
console.log(JSON.stringify({ complete: true }));
client.dispose();
