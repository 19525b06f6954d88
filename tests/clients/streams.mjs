// Runs several subscriptions over one client of a recipe and says on standard output, a JSON line each, what they show.
// A message "end <name>" ends the subscription of that name from inside, "iterate" is read by the client's `iterate`.
import WebSocket from "ws";
import { mapClient } from "./recipes/map.mjs";
import { roomcastClient } from "./recipes/roomcast.mjs";

globalThis.WebSocket ??= WebSocket; // browsers and newer Nodes have one

const { recipe, wsUrl, token, streams, strict } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const ends = {};

const client = { roomcast: roomcastClient, map: mapClient }[recipe]({
  url: wsUrl,
  accessToken: () => token,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
  on: {
    closed: (event) => say({ closed: event.code }),
    ping: (received, payload) => Object.keys(payload?.cursors ?? {}).forEach((id) => say({ position: id })),
  },
});

function show(name, { data, errors }) {
  if (errors) return say({ name, errors });
  const { body } = Object.values(data)[0].message;
  say({ name, body });
  if (body === `end ${name}`) ends[name]();
}

function start(name, payload) {
  const next = (result) => show(name, result);
  const failed = (error) => say({ name, failed: error.code ?? String(error) });
  return client.subscribe(payload, { next, error: failed, complete: () => say({ ended: name }) });
}

async function read(name, payload) {
  for await (const result of client.iterate(payload)) show(name, result);
}

for (const [name, payload] of Object.entries(streams)) {
  if (name === "iterate") read(name, payload);
  else {
    if (strict) start(name, payload)(); // React's StrictMode: mounted, unmounted and mounted again at once
    ends[name] = start(name, payload);
  }
}
setInterval(() => {}, 1000); // until it is ended from outside
