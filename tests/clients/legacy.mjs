// A client of the deprecated subscriptions-transport-ws says on standard output what it gets from the server.
import { createRequire } from "node:module";
import WebSocket from "ws";

const { SubscriptionClient } = createRequire(import.meta.url)("subscriptions-transport-ws");

const { wsUrl } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const client = new SubscriptionClient(
  wsUrl,
  { connectionCallback: (error) => error && say({ refused: error.message }) },
  WebSocket,
);
client.client.addEventListener("close", ({ code, reason }) => say({ closed: code, reason }));
