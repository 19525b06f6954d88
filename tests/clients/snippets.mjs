// Runs the snippets of docs/clients.md that need no cache, and says on standard output what they return.
import { parse } from "graphql";

const { folder, url, token, roomId } = JSON.parse(process.argv[2]);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const load = (name) => import(`${folder}/${name}`);
const WATCH = `subscription ($roomId: ID!) { roomMessages(roomId: $roomId) { message { body } } }`;

const { loadSchema } = await load("schema.mjs");
const { possibleTypes, keyless } = await loadSchema(url);
say({ possibleTypes, keyless });

const { request } = await load("request.mjs");
say(await request(`${url}/graphql`, token, "{ me { user { username } } }"));
say({ refused: await request(`${url}/graphql`, token, "{ nothing }") });

const { SYSTEM_EVENT, wording } = await load("system-messages.mjs");
const HISTORY = `query ($id: ID!) { room(id: $id) { messages { nodes { body ${SYSTEM_EVENT} } } } }`;
const { data } = await request(`${url}/graphql`, token, HISTORY, { id: roomId });
say({ wordings: data.room.messages.nodes.map(wording) });

const { missingFieldHandlers } = await load("relay-handlers.mjs");
const root = { getType: () => "__Root" };
say({ found: missingFieldHandlers[0].handle({ name: "room" }, root, { id: roomId }) });

const { subscribe } = await load("sse.mjs");
const { multipartClient } = await load("apollo-multipart.mjs");
const multipart = multipartClient(`${url}/graphql`, token);
multipart.subscribe({ query: parse(WATCH), variables: { roomId } }).subscribe(({ data }) => {
  say({ transport: "multipart", body: data.roomMessages.message.body });
});
for await (const { data } of subscribe(`${url}/graphql`, token, WATCH, { roomId })) {
  say({ transport: "sse", body: data.roomMessages.message.body });
}
