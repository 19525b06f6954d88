// @roomcast/react, installed from its tarball, in a DOM, against a real server whose address is in ROOMCAST_URL.
import { createRoomcast, memoryStorage } from "@roomcast/client";
import { KillingProxy } from "@roomcast/client/testing";
import {
  RoomcastProvider,
  useMessages,
  usePresence,
  useRooms,
  useSession,
  useTyping,
  useUnread,
  useUpload,
} from "@roomcast/react";
import { JSDOM } from "jsdom";
import assert from "node:assert/strict";
import { test } from "node:test";
import { createElement as h, StrictMode, useEffect } from "react";
import WebSocket from "ws";

const dom = new JSDOM("<!doctype html><body></body>");
globalThis.window = dom.window;
globalThis.document = dom.window.document;
globalThis.navigator ??= dom.window.navigator; // Node 20 has none
const { createRoot } = await import("react-dom/client");

const server = process.env.ROOMCAST_URL;
let users = 0;

async function signUp(t, url = server) {
  const roomcast = createRoomcast({ url, storage: memoryStorage(), webSocketImpl: WebSocket });
  t.after(() => roomcast.close());
  await roomcast.signup(`react${Date.now() % 1e9}-${++users}`, "a good long pass phrase");
  return roomcast;
}

/** Renders a component in StrictMode. `shown(passes)` waits for what it has shown last. */
function render(t, roomcast, useIt) {
  let last;
  const changed = new Set();
  function Component() {
    const value = useIt();
    useEffect(() => {
      last = value;
      for (const check of changed) check();
    });
    return null;
  }
  const root = createRoot(document.body.appendChild(document.createElement("div")));
  root.render(h(StrictMode, null, h(RoomcastProvider, { roomcast }, h(Component))));
  t.after(() => root.unmount());
  const shown = (passes) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(JSON.stringify(last))), 20_000);
      const check = () => {
        if (last === undefined || !passes(last)) return;
        clearTimeout(timer);
        changed.delete(check);
        resolve(last);
      };
      changed.add(check);
      check();
    });
  return { shown, unmount: () => root.unmount() };
}

const bodies = ({ messages }) => messages.filter(({ kind }) => kind === "USER").map(({ body }) => body);

test("two components of one room show each message once while connections are cut", async (t) => {
  const proxy = await KillingProxy.start(server);
  t.after(() => proxy.close());
  const roomcast = await signUp(t, proxy.url);
  const { id } = await roomcast.createRoom(`den ${Date.now()}`);
  const [one, other] = [1, 2].map(() => render(t, roomcast, () => useMessages(id)));
  const sent = [];
  for (let round = 0; round < 4; round++) {
    const { send } = await one.shown(({ isLoaded }) => isLoaded);
    sent.push(`${round}a`, `${round}b`);
    for (const body of sent.slice(-2)) send(body);
    proxy.cut();
    for (const view of [one, other]) {
      const value = await view.shown((now) => bodies(now).length >= sent.length && now.unsent.length === 0);
      assert.deepEqual(bodies(value), sent);
    }
  }
});

test("a room is opened once for all components, and closed when the last has gone", async (t) => {
  const roomcast = await signUp(t);
  const { id } = await roomcast.createRoom(`den ${Date.now()}`);
  let [opened, closed] = [0, 0];
  const open = roomcast.openRoom.bind(roomcast);
  roomcast.openRoom = (...given) => {
    opened += 1;
    const room = open(...given);
    const close = room.close.bind(room);
    room.close = () => ((closed += 1), close());
    return room;
  };
  const [one, other] = [1, 2].map(() => render(t, roomcast, () => useMessages(id)));
  await one.shown(({ isLoaded }) => isLoaded);
  one.unmount();
  await other.shown(({ isLoaded }) => isLoaded);
  assert.deepEqual([opened, closed], [1, 0]);
  other.unmount();
  while (closed === 0) await new Promise((resolve) => setTimeout(resolve));
  const again = render(t, roomcast, () => useMessages(id)); // unmounted while it loads
  await again.shown(() => true);
  again.unmount();
  while (closed === 1) await new Promise((resolve) => setTimeout(resolve));
  assert.deepEqual([opened, closed], [2, 2]);
});

test("rooms, unread counts, presence, typing and the session follow what others do", async (t) => {
  const ann = await signUp(t);
  const { id } = await ann.createRoom(`den ${Date.now()}`);
  const bob = await signUp(t);
  await bob.join({ roomId: id });
  const view = render(t, bob, () => ({
    rooms: useRooms(),
    unread: useUnread(),
    present: usePresence(id),
    typing: useTyping(id),
    session: useSession(),
  }));
  const hers = render(t, ann, () => ({ ...useMessages(id), ...useTyping(id) }));
  await view.shown(({ rooms, session }) => rooms?.length === 1 && session.connection === "connected");
  const { send, setTyping } = await hers.shown(({ isLoaded }) => isLoaded);
  await view.shown(({ present }) => present.length === 2);
  setTyping(true);
  await view.shown(({ typing }) => typing.users.length === 1);
  send("hello");
  await view.shown(({ unread, typing }) => unread.unreadCount === 1 && typing.users.length === 0);
  const { session } = await view.shown(() => true);
  await session.logout();
  await view.shown(({ session }) => session.session === null);
});

test("another user who signs in sees their own rooms", async (t) => {
  const ann = await signUp(t);
  await ann.createRoom(`den ${Date.now()}`);
  const view = render(t, ann, () => ({ rooms: useRooms(), session: useSession() }));
  const { session } = await view.shown(({ rooms }) => rooms?.length === 1);
  await session.logout();
  await view.shown(({ rooms, session }) => rooms === null && session.session === null);
  await session.signup(`react${Date.now() % 1e9}-${++users}`, "a good long pass phrase");
  await view.shown(({ rooms }) => rooms?.length === 0);
});

test("an upload tells its result and its refusal", async (t) => {
  const roomcast = await signUp(t);
  const view = render(t, roomcast, () => useUpload());
  const { upload } = await view.shown(() => true);
  assert.match(await upload(new File(["hello"], "hello.txt", { type: "text/plain" })), /./);
  assert.equal(await upload(new File([""], "a/\u0000b", { type: "text/plain" })), null);
  const { progress, error } = await view.shown(({ error }) => error !== null);
  assert.deepEqual([progress, error.code], [null, "VALIDATION_FAILED"]);
});
