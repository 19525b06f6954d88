// The law of the timeline: an old page and the events since make what a fresh page shows, whatever happened in between.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./source.mjs";

const { emptyTimeline, reduce, MAX_ROWS } = await load("state/timeline.ts");
const ME = "user_me";
const PEOPLE = [ME, "user_bob", "user_cleo"];
const EMOJI = ["👍", "🎉"];

/** Numbers that look random and are the same in every run. */
function dice(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A room as a server keeps it: messages, and the events of what was done to them. */
class House {
  messages = [];
  events = [];
  seq = 0;

  constructor(roll) {
    this.roll = roll;
  }

  doSomething() {
    const living = this.messages.filter((one) => !one.deletedAt);
    const one = living[this.roll(living.length)];
    const deed = one ? this.roll(8) : 0;
    if (deed < 4) this.say(one && deed === 1 ? one : null, one && deed === 2 && !one.threadRootId ? one : null);
    else if (deed === 4) this.edit(one);
    else if (deed === 5) this.remove(one);
    else this.react(one);
  }

  say(replyTo, root) {
    const seq = ++this.seq;
    const author = PEOPLE[this.roll(PEOPLE.length)];
    const message = { id: `msg_${seq}`, seq, kind: "USER", body: `said ${seq}`, author, reactions: new Map() };
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
    const [emoji, user] = [EMOJI[this.roll(EMOJI.length)], PEOPLE[this.roll(PEOPLE.length)]];
    const people = message.reactions.get(emoji) ?? new Set();
    const added = !people.has(user);
    if (added) people.add(user);
    else people.delete(user);
    message.reactions.delete(emoji);
    if (people.size) message.reactions.set(emoji, people);
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

  shown(message) {
    const { id, seq, kind, body, threadRootId, deletedAt } = message;
    const replies = this.messages.filter((other) => other.threadRootId === id);
    const nothing = deletedAt ? { pinnedAt: null, mentionsRoom: false, mentions: [], attachments: [] } : {};
    return {
      ...{ id, seq, kind, body, bodyHtml: body, threadRootId, deletedAt, ...nothing },
      author: { id: message.author },
      replyTo: message.replyTo && { id: message.replyTo.id, body: message.replyTo.body },
      thread: replies.length ? { replyCount: replies.length } : null,
      reactions: [...message.reactions].map(([emoji, people]) => ({ emoji, count: people.size })),
    };
  }

  own(message) {
    const shown = this.shown(message);
    const mine = ({ emoji }) => message.reactions.get(emoji).has(ME);
    return { ...shown, reactions: shown.reactions.map((group) => ({ ...group, viewerHasReacted: mine(group) })) };
  }

  /** As the server shows it now: absolute values, nobody's own view. */
  told(event) {
    const { of, ...rest } = event;
    if (event.__typename === "ReactionChanged") return { ...rest, count: of.reactions.get(event.emoji)?.size ?? 0 };
    if (event.__typename === "MessageDeleted") return rest;
    const root = this.messages.find(({ id }) => id === of.threadRootId);
    const threadRoot = root ? { id: root.id, thread: this.shown(root).thread } : null;
    return { ...rest, message: { ...this.shown(of), threadRoot } };
  }

  page(size, { before = Infinity, after = -1, root = null } = {}) {
    const all = this.messages.filter(({ threadRootId }) => threadRootId === root);
    const inside = all.filter(({ seq }) => seq < before && seq > after);
    const taken = after >= 0 ? inside.slice(0, size) : inside.slice(-size);
    return {
      edges: taken.map((message) => ({ cursor: String(message.seq), node: this.own(message) })),
      pageInfo: {
        hasPreviousPage: all.some(({ seq }) => seq < (taken[0]?.seq ?? 0)),
        hasNextPage: all.some(({ seq }) => seq > (taken.at(-1)?.seq ?? Infinity)),
      },
    };
  }
}

/** Rows as people see them, in an order that does not hang on who reacted first. */
function seen(rows) {
  const inOrder = (groups) => [...groups].sort((one, other) => (one.emoji < other.emoji ? -1 : 1));
  return rows.map(({ pageCursor, threadRoot, ...row }) => ({ ...row, reactions: inOrder(row.reactions) }));
}

function fresh(house, size, root = null) {
  return seen(reduce(emptyTimeline(root), { type: "opened", page: house.page(size, { root }), userId: ME }).rows);
}

for (let seed = 1; seed <= 150; seed++) {
  test(`an old page and its events make a fresh page (${seed})`, () => {
    const roll = dice(seed);
    const house = new House(roll);
    for (let count = 0; count < 30; count++) house.doSomething();
    let line = reduce(emptyTimeline(), { type: "opened", page: house.page(5), userId: ME });
    let told = house.events.length;
    let waiting = null;
    const tell = (until) => {
      for (; told < until; told++)
        line = reduce(line, { type: "event", event: house.told(house.events[told]), userId: ME });
    };
    for (let step = 0; step < 60; step++) {
      house.doSomething();
      // Events come late and in heaps; a page may have been read before them and arrive after, or the other way round.
      if (roll(3) === 0) tell(told + roll(house.events.length - told + 1));
      if (waiting && roll(3) === 0)
        [line, waiting] = [reduce(line, { type: "older", page: waiting, userId: ME }), null];
      if (!waiting && line.hasOlder && roll(6) === 0) {
        line = reduce(line, { type: "pageRequested" });
        waiting = house.page(4, { before: line.rows[0].seq });
      }
      const mine = house.messages.at(-1);
      if (mine.author === ME && roll(4) === 0)
        line = reduce(line, { type: "messageChanged", message: house.own(mine) });
    }
    if (waiting) line = reduce(line, { type: "older", page: waiting, userId: ME });
    tell(house.events.length);
    assert.deepEqual(seen(line.rows), fresh(house, line.rows.length));
  });
}

test("a thread takes in its replies and nothing else", () => {
  const house = new House(dice(7));
  house.say(null, null);
  const [root] = house.messages;
  let line = reduce(emptyTimeline(root.id), { type: "opened", page: house.page(5, { root: root.id }), userId: ME });
  const from = house.events.length;
  house.say(null, root);
  house.say(null, null);
  house.say(null, root);
  for (const event of house.events.slice(from))
    line = reduce(line, { type: "event", event: house.told(event), userId: ME });
  assert.deepEqual(seen(line.rows), fresh(house, 5, root.id));
});

test("far from the end nothing is added, and the way back misses nothing", () => {
  const house = new House(dice(3));
  for (let count = 0; count < 20; count++) house.say(null, null);
  let line = reduce(emptyTimeline(), { type: "opened", page: house.page(5, { after: 5 }), userId: ME });
  assert.equal(line.hasNewer, true);
  line = reduce(line, { type: "pageRequested" });
  const page = house.page(50, { after: line.rows.at(-1).seq });
  house.say(null, null);
  line = reduce(line, { type: "event", event: house.told(house.events.at(-1)), userId: ME });
  line = reduce(line, { type: "newer", page, userId: ME });
  assert.equal(line.hasNewer, true, "something was said after the page had been read");
  line = reduce(line, { type: "newer", page: house.page(50, { after: line.rows.at(-1).seq }), userId: ME });
  assert.deepEqual([line.hasNewer, line.rows.length], [false, 16]);
});

test("rows are bounded, and what was let go can be asked for again", () => {
  const house = new House(dice(5));
  for (let count = 0; count < MAX_ROWS + 30; count++) house.say(null, null);
  const page = house.page(MAX_ROWS);
  let line = reduce(emptyTimeline(), { type: "opened", page, userId: ME });
  house.say(null, null);
  line = reduce(line, { type: "event", event: house.told(house.events.at(-1)), userId: ME });
  assert.deepEqual([line.rows.length, line.hasOlder], [MAX_ROWS, true]);
  line = reduce(line, { type: "older", page: house.page(50, { before: line.rows[0].seq }), userId: ME });
  assert.deepEqual([line.rows.length, line.hasNewer], [MAX_ROWS, true]);
});

test("an answer takes its place among what comes later and was said before", () => {
  const house = new House(dice(2));
  house.say(null, null);
  let line = reduce(emptyTimeline(), { type: "opened", page: house.page(5), userId: ME });
  house.say(null, null);
  house.say(null, null);
  line = reduce(line, { type: "messageChanged", message: house.own(house.messages[2]) });
  for (const event of house.events.slice(1))
    line = reduce(line, { type: "event", event: house.told(event), userId: ME });
  assert.deepEqual(seen(line.rows), fresh(house, 3));
});
