// GraphiQL on this edge: one POST for every operation, whose answer is JSON or, of a subscription, a stream of events.

/** The events of a response, until it completes. Throws where it was cut. */
async function* read(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Error("The stream was cut. Run the operation again with the last cursor as `after`.");
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        if (block.startsWith("event: complete")) return;
        const data = block.match(/^data: (.*)$/m);
        if (data) yield JSON.parse(data[1]);
      }
    }
  } finally {
    await reader.cancel();
  }
}

async function fetcher(request, { headers } = {}) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, text/event-stream",
      "x-parley-csrf": "1",
      ...headers,
    },
    body: JSON.stringify(request),
  });
  const streams = response.headers.get("content-type").startsWith("text/event-stream");
  return streams ? read(response) : response.json();
}

const EXAMPLE = `# Sign in here for a cookie, or put {"authorization": "Bearer <API key>"} under Headers.
mutation SignIn($email: String!, $password: String!) {
  signIn(input: { email: $email, password: $password }) {
    displayName
  }
}

query Models {
  models {
    id
    ready
  }
}
`;

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, { fetcher, defaultQuery: EXAMPLE, shouldPersistHeaders: false }),
);
