// Runs one recipe against a server and says on standard output, a JSON line each, what its user would see.
import { gql } from "@apollo/client";
import WebSocket from "ws";
import { apolloClient } from "./recipes/apollo.mjs";
import { mapClient } from "./recipes/map.mjs";
import { relayEnvironment } from "./recipes/relay.mjs";
import { roomcastClient } from "./recipes/roomcast.mjs";
import { urqlClient } from "./recipes/urql.mjs";

globalThis.WebSocket ??= WebSocket; // browsers and newer Nodes have one

const { client, httpUrl, wsUrl, token, refreshToken, roomId, mischief } = JSON.parse(process.argv[2]);
const query = `subscription Messages($roomId: ID!, $after: Cursor) {
  roomMessages(roomId: $roomId, after: $after) { cursor replayed message { id body } }
}`;
const variables = { roomId };
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

// ---------------------------------------------------------------- tokens

let current = token;
let renewal = refreshToken;

async function accessToken({ expired }) {
  if (expired && renewal) {
    const document = `mutation ($input: RefreshSessionInput!) {
      refreshSession(input: $input) { errors { code } tokens { accessToken refreshToken } } }`;
    const body = JSON.stringify({ query: document, variables: { input: { refreshToken: renewal } } });
    const answer = await fetch(httpUrl, { method: "POST", headers: { "content-type": "application/json" }, body });
    const { tokens } = (await answer.json()).data.refreshSession;
    [current, renewal] = [tokens.accessToken, tokens.refreshToken];
    say({ renewed: true });
  }
  return current;
}

// ---------------------------------------------------------------- breaking the protocol on purpose

const breaches = {
  4400: (socket) => socket.send("nonsense"),
  4409: (socket) => {
    const subscribe = JSON.stringify({ type: "subscribe", id: "twice", payload: { query, variables } });
    socket.send(subscribe);
    socket.send(subscribe);
  },
  4429: (socket) => socket.send('{"type":"connection_init"}'),
};

class WithoutSubprotocol extends WebSocket {
  constructor(url) {
    super(url);
  }
}

// ---------------------------------------------------------------- the client

const options = {
  webSocketImpl: mischief === 4406 ? WithoutSubprotocol : WebSocket,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
  on: {
    connected: (socket) => (say({ connected: true }), breaches[mischief]?.(socket)),
    closed: (event) => say({ closed: event.code }),
  },
};
const sink = {
  next: ({ data, errors }) => say(errors ? { errors } : { body: data.roomMessages.message.body }),
  error: (error) => say({ failed: error.code ?? String(error) }),
  complete: () => say({ complete: true }),
};
const settings = { httpUrl, wsUrl, accessToken, ...options };

const clients = {
  "graphql-ws": () => roomcastClient({ url: wsUrl, accessToken, ...options }).subscribe({ query, variables }, sink),
  "graphql-ws map": () => {
    const plain = query.replace(", $after: Cursor", "").replace(", after: $after", "");
    mapClient({ url: wsUrl, accessToken, ...options }).subscribe({ query: plain, variables }, sink);
  },
  apollo: () => apolloClient(settings).subscribe({ query: gql(query), variables }).subscribe(sink),
  urql: () => urqlClient(settings).subscription(query, variables).subscribe(sink.next),
  relay: () => {
    const operation = { name: "Messages", text: query, operationKind: "subscription", id: null, metadata: {} };
    relayEnvironment(settings).getNetwork().execute(operation, variables, {}).subscribe(sink);
  },
};

clients[client]();
setInterval(() => {}, 1000); // until it is ended from outside
