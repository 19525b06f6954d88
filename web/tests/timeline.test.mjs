// The invariant of the timeline: a page plus all later events gives the rows of a page that is loaded afterwards.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./source.mjs";

const { emptyTimeline, reduce, MAX_ROWS } = await load("state/timeline.ts");
const ME = "user_me";
const USERS = [ME, "user_bob", "user_cleo"];
const EMOJI = ["👍", "🎉"];

/** A pseudo-random generator. The same seed gives the same numbers in every run. */
function randomSource(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A fake server with one room: its messages, and the events of all changes. */
class FakeRoom {
  messages = [];
  events = [];
  seq = 0;

  constructor(random) {
    this.random = random;
  }

  makeRandomChange() {
    const existing = this.messages.filter((one) => !one.deletedAt);
    const one = existing[this.random(existing.length)];
    const choice = one ? this.random(8) : 0;
    if (choice < 4) this.post(one && choice === 1 ? one : null, one && choice === 2 && !one.threadRootId ? one : null);
    else if (choice === 4) this.edit(one);
    else if (choice === 5) this.remove(one);
    else this.react(one);
  }

  post(replyTo, root) {
    const seq = ++this.seq;
    const author = USERS[this.random(USERS.length)];
    const message = { id: `msg_${seq}`, seq, kind: "USER", body: `message ${seq}`, author, reactions: new Map() };
    this.messages.push(Object.assign(message, { replyTo, threadRootId: root?.id ?? null, deletedAt: null }));
    this.events.push({ __typename: "MessageCreated", of: message });
  }

  edit(message) {
    message.body = `edited ${++this.seq}`;
    this.events.push({ __typename: "MessageUpdated", of: message });
  }

  remove(message) {
    Object.assign(message, { body: null, deletedAt: `at ${++this.seq}`, reactions: new Map() });
    const { id, deletedAt } = message;
    this.events.push({ __typename: "MessageDeleted", messageId: id, at: deletedAt });
  }

  react(message) {
    const [emoji, user] = [EMOJI[this.random(EMOJI.length)], USERS[this.random(USERS.length)]];
    const users = message.reactions.get(emoji) ?? new Set();
    const added = !users.has(user);
    if (added) users.add(user);
    else users.delete(user);
    message.reactions.delete(emoji);
    if (users.size) message.reactions.set(emoji, users);
    this.seq++;
    this.events.push({
      __typename: "ReactionChanged",
      messageId: message.id,
      emoji,
      user: { id: user },
      added,
      of: message,
    });
  }

  /** The message as events carry it. */
  sharedMessage(message) {
    const { id, seq, kind, body, threadRootId, deletedAt } = message;
    const replies = this.messages.filter((other) => other.threadRootId === id);
    const cleared = deletedAt ? { pinnedAt: null, mentionsRoom: false, mentions: [], attachments: [] } : {};
    return {
      ...{ id, seq, kind, body, bodyHtml: body, threadRootId, deletedAt, ...cleared },
      author: { id: message.author },
      replyTo: message.replyTo && { id: message.replyTo.id, body: message.replyTo.body },
      thread: replies.length ? { replyCount: replies.length } : null,
      reactions: [...message.reactions].map(([emoji, users]) => ({ emoji, count: users.size })),
    };
  }

  /** The message as queries return it to the viewer. */
  viewerMessage(message) {
    const shared = this.sharedMessage(message);
    const isOwn = ({ emoji }) => message.reactions.get(emoji).has(ME);
    return { ...shared, reactions: shared.reactions.map((group) => ({ ...group, viewerHasReacted: isOwn(group) })) };
  }

  /** The event as the server would send it now: with absolute values and without viewer fields. */
  render(event) {
    const { of, ...rest } = event;
    if (event.__typename === "ReactionChanged") return { ...rest, count: of.reactions.get(event.emoji)?.size ?? 0 };
    if (event.__typename === "MessageDeleted") return rest;
    const root = this.messages.find(({ id }) => id === of.threadRootId);
    const threadRoot = root ? { id: root.id, thread: this.sharedMessage(root).thread } : null;
    return { ...rest, message: { ...this.sharedMessage(of), threadRoot } };
  }

  page(size, { before = Infinity, after = -1, root = null } = {}) {
    const all = this.messages.filter(({ threadRootId }) => threadRootId === root);
    const inside = all.filter(({ seq }) => seq < before && seq > after);
    const taken = after >= 0 ? inside.slice(0, size) : inside.slice(-size);
    return {
      edges: taken.map((message) => ({ cursor: String(message.seq), node: this.viewerMessage(message) })),
      pageInfo: {
        hasPreviousPage: all.some(({ seq }) => seq < (taken[0]?.seq ?? 0)),
        hasNextPage: all.some(({ seq }) => seq > (taken.at(-1)?.seq ?? Infinity)),
      },
    };
  }
}

/** Rows without what the viewer does not see: cursors, and the order of reactions. */
function visible(rows) {
  const inOrder = (groups) => [...groups].sort((one, other) => (one.emoji < other.emoji ? -1 : 1));
  return rows.map(({ pageCursor, threadRoot, ...row }) => ({ ...row, reactions: inOrder(row.reactions) }));
}

/** The rows of a page that is loaded now. */
function freshRows(room, size, root = null) {
  return visible(reduce(emptyTimeline(root), { type: "opened", page: room.page(size, { root }), userId: ME }).rows);
}

for (let seed = 1; seed <= 150; seed++) {
  test(`an old page plus its events equals a fresh page (${seed})`, () => {
    const random = randomSource(seed);
    const room = new FakeRoom(random);
    for (let count = 0; count < 30; count++) room.makeRandomChange();
    let timeline = reduce(emptyTimeline(), { type: "opened", page: room.page(5), userId: ME });
    let delivered = room.events.length;
    let loadingPage = null;
    const deliver = (until) => {
      for (; delivered < until; delivered++)
        timeline = reduce(timeline, { type: "event", event: room.render(room.events[delivered]), userId: ME });
    };
    for (let step = 0; step < 60; step++) {
      room.makeRandomChange();
      // Events arrive late and in batches. A page that was read before an event may arrive after it, and the reverse.
      if (random(3) === 0) deliver(delivered + random(room.events.length - delivered + 1));
      if (loadingPage && random(3) === 0)
        [timeline, loadingPage] = [reduce(timeline, { type: "older", page: loadingPage, userId: ME }), null];
      if (!loadingPage && timeline.hasOlder && random(6) === 0) {
        timeline = reduce(timeline, { type: "pageRequested" });
        loadingPage = room.page(4, { before: timeline.rows[0].seq });
      }
      const last = room.messages.at(-1);
      if (last.author === ME && random(4) === 0)
        timeline = reduce(timeline, { type: "messageChanged", message: room.viewerMessage(last) });
    }
    if (loadingPage) timeline = reduce(timeline, { type: "older", page: loadingPage, userId: ME });
    deliver(room.events.length);
    assert.deepEqual(visible(timeline.rows), freshRows(room, timeline.rows.length));
  });
}

test("a thread adds its replies and no other messages", () => {
  const room = new FakeRoom(randomSource(7));
  room.post(null, null);
  const [root] = room.messages;
  let timeline = reduce(emptyTimeline(root.id), { type: "opened", page: room.page(5, { root: root.id }), userId: ME });
  const from = room.events.length;
  room.post(null, root);
  room.post(null, null);
  room.post(null, root);
  for (const event of room.events.slice(from))
    timeline = reduce(timeline, { type: "event", event: room.render(event), userId: ME });
  assert.deepEqual(visible(timeline.rows), freshRows(room, 5, root.id));
});

test("a window far from the end adds no new messages and can load all of them", () => {
  const room = new FakeRoom(randomSource(3));
  for (let count = 0; count < 20; count++) room.post(null, null);
  let timeline = reduce(emptyTimeline(), { type: "opened", page: room.page(5, { after: 5 }), userId: ME });
  assert.equal(timeline.hasNewer, true);
  timeline = reduce(timeline, { type: "pageRequested" });
  const page = room.page(50, { after: timeline.rows.at(-1).seq });
  room.post(null, null);
  timeline = reduce(timeline, { type: "event", event: room.render(room.events.at(-1)), userId: ME });
  timeline = reduce(timeline, { type: "newer", page, userId: ME });
  assert.deepEqual([timeline.hasNewer, timeline.rows.length], [false, 16], "the event continues the page");
  assert.deepEqual(visible(timeline.rows), freshRows(room, 16));
});

test("an event that arrives while the newest page is loading is added to the page", () => {
  const room = new FakeRoom(randomSource(4));
  for (let count = 0; count < 20; count++) room.post(null, null);
  let timeline = reduce(emptyTimeline(), { type: "opened", page: room.page(5, { after: 5 }), userId: ME });
  timeline = reduce(timeline, { type: "pageRequested" });
  const page = room.page(5);
  room.post(null, null);
  timeline = reduce(timeline, { type: "event", event: room.render(room.events.at(-1)), userId: ME });
  const { unseenCount } = timeline;
  timeline = reduce(timeline, { type: "opened", page, userId: ME });
  assert.deepEqual([timeline.hasNewer, timeline.unseenCount], [false, unseenCount]);
  assert.deepEqual(visible(timeline.rows), freshRows(room, 6));
});

test("the number of rows is bounded and dropped rows can be loaded again", () => {
  const room = new FakeRoom(randomSource(5));
  for (let count = 0; count < MAX_ROWS + 30; count++) room.post(null, null);
  const page = room.page(MAX_ROWS);
  let timeline = reduce(emptyTimeline(), { type: "opened", page, userId: ME });
  room.post(null, null);
  timeline = reduce(timeline, { type: "event", event: room.render(room.events.at(-1)), userId: ME });
  assert.deepEqual([timeline.rows.length, timeline.hasOlder], [MAX_ROWS, true]);
  timeline = reduce(timeline, { type: "older", page: room.page(50, { before: timeline.rows[0].seq }), userId: ME });
  assert.deepEqual([timeline.rows.length, timeline.hasNewer], [MAX_ROWS, true]);
});

test("a mutation result is inserted before events of earlier messages arrive", () => {
  const room = new FakeRoom(randomSource(2));
  room.post(null, null);
  let timeline = reduce(emptyTimeline(), { type: "opened", page: room.page(5), userId: ME });
  room.post(null, null);
  room.post(null, null);
  timeline = reduce(timeline, { type: "messageChanged", message: room.viewerMessage(room.messages[2]) });
  for (const event of room.events.slice(1))
    timeline = reduce(timeline, { type: "event", event: room.render(event), userId: ME });
  assert.deepEqual(visible(timeline.rows), freshRows(room, 3));
});
