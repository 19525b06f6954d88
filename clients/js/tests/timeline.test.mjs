// A page and all later events give the same timeline as a page that is loaded afterwards, however they are interleaved.
import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyTimeline, reduce } from "../dist/index.js";

/** Random numbers from a seed, so that a failure can be repeated (mulberry32). */
function randomNumbers(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A server with one room: it keeps the messages and returns the event of each change. */
class Room {
  messages = [];
  #seq = 0;

  constructor(random) {
    this.random = random;
  }

  change() {
    const chance = this.random();
    if (this.messages.length === 0 || chance < 0.5) return this.#create(chance < 0.1 ? "thread" : null);
    const place = Math.floor(this.random() * this.messages.length);
    const old = this.messages[place];
    if (chance < 0.7)
      return this.#update(place, "MessageUpdated", { ...old, revision: old.revision + 1, body: "edited" });
    if (chance < 0.8)
      return this.#update(place, "MessageDeleted", { ...old, body: null, deletedAt: "now", reactions: [] });
    const count = old.deletedAt ? 0 : Math.floor(this.random() * 3);
    const reactions = count > 0 ? [{ emoji: "👍", count }] : [];
    this.messages[place] = { ...old, reactions };
    return { __typename: "ReactionChanged", messageId: old.id, emoji: "👍", count };
  }

  page(size, before = Infinity) {
    const all = this.messages.filter((message) => message.threadRootId === null && message.seq < before);
    const nodes = all.slice(-size);
    const hasPreviousPage = all.length > nodes.length;
    return { nodes, pageInfo: { hasPreviousPage, startCursor: String(nodes[0]?.seq) }, streamCursor: "" };
  }

  #create(threadRootId) {
    const seq = ++this.#seq;
    const message = { id: `msg_${seq}`, seq, body: "new", revision: 1, threadRootId, deletedAt: null, reactions: [] };
    this.messages.push(message);
    return { __typename: "MessageCreated", message };
  }

  #update(place, __typename, message) {
    this.messages[place] = message;
    return { __typename, message };
  }
}

test("2,000 random histories end with the state of the server", () => {
  for (let seed = 0; seed < 2_000; seed++) {
    const random = randomNumbers(seed);
    const room = new Room(random);
    for (let n = 0; n < 10; n++) room.change();
    let timeline = reduce(emptyTimeline(), { type: "newest", page: room.page(4) });
    let older = null; // a page that the server has read, and that has not arrived yet
    for (let n = 0; n < 30; n++) {
      const event = room.change();
      if (older === null && timeline.before !== null && random() < 0.3) {
        timeline = reduce(timeline, { type: "pageRequested" });
        older = room.page(3, Number(timeline.before));
      }
      timeline = reduce(timeline, { type: "event", event });
      if (random() < 0.2) timeline = reduce(timeline, { type: "event", event }); // events may be applied twice
      if (older !== null && random() < 0.4) {
        timeline = reduce(timeline, { type: "older", page: older, before: timeline.before });
        older = null;
      }
    }
    if (older !== null) timeline = reduce(timeline, { type: "older", page: older, before: timeline.before });
    const expected = room.page(timeline.messages.length).nodes;
    assert.deepEqual(timeline.messages, expected, `seed ${seed}`);
  }
});

test("a message that was sent takes the place of its unsent one", () => {
  const unsent = [{ id: "msg_9", body: "hello", failure: null }];
  let timeline = reduce(emptyTimeline(), { type: "unsent", unsent });
  assert.equal(timeline.unsent.length, 1);
  timeline = reduce(timeline, { type: "message", message: { id: "msg_9", seq: 1, threadRootId: null } });
  assert.deepEqual([timeline.messages.length, timeline.unsent.length], [1, 0]);
  timeline = reduce(timeline, { type: "unsent", unsent });
  assert.equal(timeline.unsent.length, 0);
});

test("an older page that arrives after the messages were replaced is not added", () => {
  const random = randomNumbers(1);
  const room = new Room(random);
  while (room.page(30).nodes.length < 30) room.change();
  let timeline = reduce(emptyTimeline(), { type: "newest", page: room.page(4) });
  const before = timeline.before;
  timeline = reduce(timeline, { type: "pageRequested" });
  const older = room.page(3, Number(before));
  while (room.page(60).nodes.length < 60) room.change();
  timeline = reduce(timeline, { type: "newest", page: room.page(4) });
  timeline = reduce(timeline, { type: "older", page: older, before });
  assert.deepEqual(timeline.messages, room.page(4).nodes);
});
