// @roomcast/client, installed from its tarball, against a real server whose address is in ROOMCAST_URL.
import { createRoomcast, memoryStorage, RoomcastError } from "@roomcast/client";
import { KillingProxy } from "@roomcast/client/testing";
import assert from "node:assert/strict";
import { test } from "node:test";
import WebSocket from "ws";

const server = process.env.ROOMCAST_URL;
const password = "a good long pass phrase";
let users = 0;

const userName = () => `user${Date.now() % 1e9}-${++users}`;

/** A signed-in client. `url`: a proxy's. */
async function signUp(t, url = server, more = {}) {
  const roomcast = createRoomcast({ url, storage: memoryStorage(), webSocketImpl: WebSocket, ...more });
  t.after(() => roomcast.close());
  await roomcast.signup(userName(), password);
  return roomcast;
}

async function startProxy(t) {
  const proxy = await KillingProxy.start(server);
  t.after(() => proxy.close());
  return proxy;
}

/** Waits until the value of a store passes. */
function until(store, passes, seconds = 20) {
  return new Promise((resolve, reject) => {
    const check = () => passes(store.get()) && finish(resolve, store.get());
    const timer = setTimeout(() => finish(reject, new Error(JSON.stringify(store.get()))), seconds * 1000);
    const stop = store.subscribe(check);
    function finish(settle, value) {
      clearTimeout(timer);
      stop();
      settle(value);
    }
    check();
  });
}

const bodies = ({ messages }) => messages.filter(({ kind }) => kind === "USER").map(({ body }) => body);
const hasBodies = (count) => (timeline) => bodies(timeline).length >= count && timeline.unsent.length === 0;

test("two views of a room have each message once and in order while connections are cut", async (t) => {
  const proxy = await startProxy(t);
  const writer = await signUp(t);
  const { id } = await writer.createRoom(`den ${Date.now()}`);
  const reader = await signUp(t, proxy.url);
  await reader.join({ roomId: id });
  const views = [reader.openRoom(id), reader.openRoom(id)];
  for (const view of views) t.after(() => view.close());
  await Promise.all(views.map((view) => until(view.isLoaded, (isLoaded) => isLoaded)));
  const own = writer.openRoom(id);
  t.after(() => own.close());
  const sent = [];
  for (let round = 0; round < 5; round++) {
    for (const part of ["a", "b", "c"]) {
      sent.push(`${round}${part}`);
      own.send(sent.at(-1));
    }
    proxy.cut();
    for (const view of views) assert.deepEqual(bodies(await until(view.timeline, hasBodies(sent.length))), sent);
  }
  assert.deepEqual(bodies(await until(own.timeline, hasBodies(sent.length))), sent);
});

test("messages are stored once and in order although answers are lost and the server is away", async (t) => {
  const proxy = await startProxy(t);
  const roomcast = await signUp(t, proxy.url);
  const { id } = await roomcast.createRoom(`den ${Date.now()}`);
  const room = roomcast.openRoom(id);
  t.after(() => room.close());
  await until(room.isLoaded, (isLoaded) => isLoaded);
  const sent = Array.from({ length: 9 }, (_, number) => String(number));
  proxy.loseAnswers = 2;
  for (const body of sent.slice(0, 4)) room.send(body);
  assert.deepEqual(
    room.timeline.get().unsent.map(({ body }) => body),
    sent.slice(0, 4),
  );
  await until(room.timeline, hasBodies(4));
  proxy.isDown = true;
  proxy.cut();
  for (const body of sent.slice(4)) room.send(body);
  proxy.isDown = false;
  assert.deepEqual(bodies(await until(room.timeline, hasBodies(sent.length))), sent);
  await until(roomcast.outbox.unsent, (unsent) => unsent.length === 0);
});

test("unsent messages outlive the page, and are sent by the next one", async (t) => {
  const proxy = await startProxy(t);
  const storage = memoryStorage();
  const first = await signUp(t, proxy.url, { storage });
  const { id } = await first.createRoom(`den ${Date.now()}`);
  const room = first.openRoom(id);
  await until(room.isLoaded, (isLoaded) => isLoaded);
  proxy.isDown = true;
  proxy.cut();
  room.send("one");
  room.send("two");
  room.close();
  first.close();
  proxy.isDown = false;
  const second = createRoomcast({ url: proxy.url, storage, webSocketImpl: WebSocket });
  t.after(() => second.close());
  const opened = second.openRoom(id);
  t.after(() => opened.close());
  assert.deepEqual(bodies(await until(opened.timeline, hasBodies(2))), ["one", "two"]);
});

test("a refused message shows its code, holds up no other, and can be discarded", async (t) => {
  const roomcast = await signUp(t);
  const { id } = await roomcast.createRoom(`den ${Date.now()}`);
  const room = roomcast.openRoom(id);
  t.after(() => room.close());
  const refused = room.send("x".repeat(5_000));
  room.send("short");
  await until(room.timeline, (timeline) => bodies(timeline).includes("short"));
  const [unsent] = room.timeline.get().unsent;
  assert.deepEqual([unsent.id, unsent.failure.code], [refused, "MESSAGE_TOO_LONG"]);
  roomcast.outbox.discard(refused);
  assert.deepEqual(room.timeline.get().unsent, []);
});

test("older pages are loaded before the first message", async (t) => {
  const roomcast = await signUp(t);
  const { id } = await roomcast.createRoom(`den ${Date.now()}`);
  const writing = roomcast.openRoom(id);
  t.after(() => writing.close());
  const sent = Array.from({ length: 12 }, (_, number) => String(number));
  for (const body of sent) writing.send(body);
  await until(writing.timeline, hasBodies(12));
  const room = roomcast.openRoom(id, { pageSize: 5 });
  t.after(() => room.close());
  await until(room.isLoaded, (isLoaded) => isLoaded);
  while (room.timeline.get().before !== null) await room.loadOlder();
  assert.deepEqual(bodies(room.timeline.get()), sent);
  await room.loadOlder();
  await room.markRead();
  assert.equal(
    (await roomcast.rooms()).find((one) => one.id === id).viewerMembership.lastReadSeq,
    room.timeline.get().messages.at(-1).seq,
  );
});

test("threads are timelines of their own", async (t) => {
  const roomcast = await signUp(t);
  const { id } = await roomcast.createRoom(`den ${Date.now()}`);
  const room = roomcast.openRoom(id);
  const threadRootId = room.send("root");
  await until(room.timeline, hasBodies(1));
  const thread = roomcast.openRoom(id, { threadRootId });
  t.after(() => (room.close(), thread.close()));
  thread.send("reply");
  assert.deepEqual(bodies(await until(thread.timeline, hasBodies(1))), ["reply"]);
  assert.deepEqual(bodies(room.timeline.get()), ["root"]);
});

test("tokens are renewed once for all requests that wait", async (t) => {
  const storage = memoryStorage();
  const roomcast = await signUp(t, server, { storage });
  const before = roomcast.session.get();
  storage.setItem("roomcast.session", JSON.stringify({ ...before, renewAt: 0 }));
  const next = createRoomcast({ url: server, storage, webSocketImpl: WebSocket });
  t.after(() => next.close());
  let sessions = 0;
  next.session.subscribe(() => sessions++);
  await Promise.all(Array.from({ length: 10 }, () => next.rooms()));
  assert.equal(sessions, 1);
  assert.notEqual(next.session.get().refreshToken, before.refreshToken);
});

test("a device whose clock is wrong uses a token until the server refuses it", async (t) => {
  const clock = t.mock.method(Date, "now", () => new Date().getTime() + 86_400_000);
  const roomcast = await signUp(t);
  const before = roomcast.session.get().accessToken;
  await roomcast.rooms();
  await roomcast.rooms();
  assert.equal(roomcast.session.get().accessToken, before);
  clock.mock.restore();
});

test("a program may give the tokens itself", async (t) => {
  const ann = await signUp(t);
  const { id } = await ann.createRoom(`den ${Date.now()}`);
  let asked = 0;
  const token = () => ((asked += 1), ann.session.get().accessToken);
  const roomcast = createRoomcast({ url: server, token, storage: memoryStorage(), webSocketImpl: WebSocket });
  const room = roomcast.openRoom(id);
  t.after(() => (room.close(), roomcast.close()));
  await until(room.isLoaded, (isLoaded) => isLoaded);
  room.send("hello");
  await until(room.timeline, hasBodies(1));
  assert.deepEqual([asked, roomcast.session.get().userId], [1, ann.session.get().userId]);
  await assert.rejects(roomcast.login("ann", password), { code: "FORBIDDEN" });
});

test("another user who signs in does not send what the former one has left", async (t) => {
  const proxy = await startProxy(t);
  const storage = memoryStorage();
  const roomcast = await signUp(t, proxy.url, { storage });
  const ann = roomcast.session.get().userId;
  const { id } = await roomcast.createRoom(`den ${Date.now()}`);
  const room = roomcast.openRoom(id);
  t.after(() => room.close());
  await until(room.isLoaded, (isLoaded) => isLoaded);
  const name = userName();
  const elsewhere = createRoomcast({ url: server, storage: memoryStorage(), webSocketImpl: WebSocket });
  await elsewhere.signup(name, password);
  proxy.isDown = true;
  proxy.cut();
  room.send("from ann");
  proxy.isDown = false;
  await roomcast.login(name, password);
  await roomcast.join({ roomId: id });
  const his = roomcast.openRoom(id);
  t.after(() => his.close());
  his.send("from bob");
  const { messages } = await until(his.timeline, hasBodies(1));
  const bob = roomcast.session.get().userId;
  const wrong = messages.filter(({ body, author }) => body === "from ann" && author.id !== ann);
  assert.deepEqual(wrong, []);
  assert.equal(messages.find(({ body }) => body === "from bob").author.id, bob);
});

test("nothing is repeated any more when the client is closed", async (t) => {
  const proxy = await startProxy(t);
  const roomcast = await signUp(t, proxy.url, { retryMs: 3_600_000 });
  proxy.isDown = true;
  proxy.cut();
  const loading = assert.rejects(roomcast.rooms(), { code: "CONNECTION_LOST" });
  roomcast.close();
  await loading;
});

test("a session that has ended is forgotten, and the room says why it stopped", async (t) => {
  const storage = memoryStorage();
  const roomcast = await signUp(t, server, { storage });
  const { id } = await roomcast.createRoom(`den ${Date.now()}`);
  const room = roomcast.openRoom(id);
  t.after(() => room.close());
  await new Promise((resolve) => room.onEvent(({ __typename }) => __typename === "StreamReady" && resolve()));
  await roomcast.execute("mutation { logout { errors { code } } }");
  assert.equal((await until(room.timeline, ({ endReason }) => endReason !== null)).endReason, "SESSION_REVOKED");
  await assert.rejects(roomcast.rooms(), { code: "UNAUTHENTICATED" });
  assert.equal(roomcast.session.get(), null);
  assert.equal(storage.getItem("roomcast.session"), null);
});

test("a room that may not be read has an error", async (t) => {
  const owner = await signUp(t);
  const { id } = await owner.createRoom(`den ${Date.now()}`, { visibility: "PRIVATE" });
  const stranger = await signUp(t);
  const room = stranger.openRoom(id);
  t.after(() => room.close());
  assert.equal((await until(room.error, (error) => error !== null)).code, "NOT_FOUND");
});

test("who is typing is shown to others", async (t) => {
  const ann = await signUp(t);
  const { id } = await ann.createRoom(`den ${Date.now()}`);
  const bob = await signUp(t);
  await bob.join({ roomId: id });
  const [hers, his] = [ann.typing(id), bob.typing(id)];
  t.after(() => (hers.close(), his.close()));
  await until(ann.socket.connection, (state) => state === "connected");
  await his.set(true);
  const [user] = await until(hers.users, (found) => found.length > 0);
  assert.equal(user.id, bob.session.get().userId);
  await his.set(false);
  await until(hers.users, (found) => found.length === 0);
});

test("the list of rooms counts what is unread, and knows who is there", async (t) => {
  const ann = await signUp(t);
  const first = await ann.createRoom(`den ${Date.now()}`);
  const bob = await signUp(t);
  await bob.join({ roomId: first.id });
  const list = bob.openRoomList();
  const present = bob.presence(first.id);
  const room = ann.openRoom(first.id);
  t.after(() => (list.close(), present.close(), room.close()));
  await until(list.rooms, (rooms) => rooms?.length === 1);
  room.send("hello");
  await until(list.rooms, ([{ viewerMembership }]) => viewerMembership.unreadCount === 1);
  const second = await bob.createRoom(`loft ${Date.now()}`);
  await until(list.rooms, (rooms) => rooms.length === 2 && rooms[0].id === second.id);
  await until(present.users, (users) => users.length === 2);
  ann.close();
});

test("a file is uploaded and shown with its message", async (t) => {
  const roomcast = await signUp(t);
  const { id } = await roomcast.createRoom(`den ${Date.now()}`);
  const attachment = await roomcast.upload(new File(["hello"], "hello.txt", { type: "text/plain" }));
  const room = roomcast.openRoom(id);
  t.after(() => room.close());
  room.send("see", { attachmentIds: [attachment] });
  const { messages } = await until(room.timeline, hasBodies(1));
  assert.equal(messages.at(-1).attachments[0].filename, "hello.txt");
});

test("wrong documents fail at once and say why", async (t) => {
  const roomcast = await signUp(t);
  const query = "subscription ($id: ID!) { roomMessages(roomId: $id) { message { id } } }";
  assert.throws(() => roomcast.graphqlWs.iterate({ query, variables: { id: "" } }), /could not resume/);
  await assert.rejects(roomcast.execute("{ nothing }"), (error) => {
    return error instanceof RoomcastError && error.code === "GRAPHQL_VALIDATION_FAILED" && !error.isRetryable;
  });
});
