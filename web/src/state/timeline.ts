/**
 * The reducer for a list of messages: the messages of a room, or the replies of a thread.
 *
 * `reduce` is pure. Its inputs are pages, which queries load, and events, which the subscription of the room delivers.
 *
 * Invariant: a page plus all later events gives the same rows as a page that is loaded afterwards. The tests check it
 * with random histories (`tests/timeline.test.mjs`). It rests on two properties of the protocol:
 *
 * - Events carry absolute values ("3 reactions", not "one more"), so an event may be applied twice.
 * - A page and the events travel separately, so a page may be older than events that have already been applied. All
 *   events that arrive while a page is loading are kept in `pendingEvents` and applied to the page again.
 */
import type { Message, MessagePage, SharedMessage } from "../api/messages";
import type { RoomEvent } from "../api/subscriptions";

/** A message in the list. `pageCursor` is the cursor for loading the page before or after it; events bring none. */
export type Row = Message & { pageCursor?: string };

export interface Timeline {
  /** The thread whose replies are listed, or null for the messages of the room itself. */
  readonly threadRootId: string | null;
  /** A window of the history, ordered by `seq` and without gaps. */
  readonly rows: readonly Row[];
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  /** The highest `seq` in any page or event so far, whether that message is in `rows` or not. */
  readonly newestSeq: number;
  /** The number of messages from others since the viewer last saw the end of the list. */
  readonly unseenCount: number;
  /** The events since the request for the page that is loading; null while no page is loading. */
  readonly pendingEvents: readonly RoomEvent[] | null;
}

/** `opened` replaces all rows by a page; `older` and `newer` add a page at one end. */
export type PageKind = "opened" | "older" | "newer";

export type TimelineAction =
  | { type: "pageRequested" }
  | { type: "pageFailed" }
  | { type: PageKind; page: MessagePage; userId: string }
  | { type: "event"; event: RoomEvent; userId: string }
  /** A mutation of the viewer has returned this message. */
  | { type: "messageChanged"; message: Message }
  | { type: "seen" };

/** The maximum number of rows. Rows beyond it are dropped at the far end and loaded again when needed. */
export const MAX_ROWS = 400;

export function emptyTimeline(threadRootId: string | null = null): Timeline {
  return {
    threadRootId,
    rows: [],
    hasOlder: false,
    hasNewer: false,
    newestSeq: 0,
    unseenCount: 0,
    pendingEvents: null,
  };
}

export function reduce(timeline: Timeline, action: TimelineAction): Timeline {
  switch (action.type) {
    case "pageRequested":
      return { ...timeline, pendingEvents: timeline.pendingEvents ?? [] };
    case "pageFailed":
      return { ...timeline, pendingEvents: null };
    case "opened":
    case "older":
    case "newer":
      return addPage(timeline, action.type, action.page, action.userId);
    case "event":
      return addEvent(timeline, action.event, action.userId);
    case "messageChanged":
      return applyResult(timeline, action.message);
    case "seen":
      return timeline.unseenCount === 0 ? timeline : { ...timeline, unseenCount: 0 };
  }
}

// ------------------------------------------------------------------ pages

function addPage(timeline: Timeline, kind: PageKind, page: MessagePage, userId: string): Timeline {
  const loaded = page.edges.map(({ cursor, node }) => ({ ...node, pageCursor: cursor }));
  const rows = kind === "opened" ? loaded : mergeRows(timeline.rows, loaded);
  const { hasPreviousPage, hasNextPage } = page.pageInfo;
  const reachesEnd = kind !== "older" && !hasNextPage;
  // The last of `rows` does not count here: it may be the viewer's own message, inserted from a mutation result before
  // the events of earlier messages have arrived. With its seq as `newestSeq`, those events would add no rows.
  const loadedSeq = loaded.at(-1)?.seq ?? 0;
  const next: Timeline = {
    ...timeline,
    rows,
    // The server may have read the page before the events that arrived meanwhile: these continue it.
    newestSeq: reachesEnd ? loadedSeq : Math.max(timeline.newestSeq, loadedSeq),
    hasOlder: kind === "newer" ? timeline.hasOlder : hasPreviousPage,
    hasNewer: kind === "older" ? timeline.hasNewer : hasNextPage,
    pendingEvents: null,
  };
  const events = timeline.pendingEvents ?? [];
  const replayed = events.reduce((current, event) => applyEvent(current, event, userId), next);
  const newestSeq = Math.max(timeline.newestSeq, replayed.newestSeq);
  const hasNewer = replayed.hasNewer || (reachesEnd && replayed.newestSeq < newestSeq);
  const complete = { ...replayed, newestSeq, hasNewer, unseenCount: timeline.unseenCount };
  return trim(complete, kind === "older" ? "newest" : "oldest");
}

/** Where both have a message, the loaded row wins: it is the newer one. */
function mergeRows(rows: readonly Row[], loaded: readonly Row[]): Row[] {
  const bySeq = new Map<number, Row>();
  for (const row of [...rows, ...loaded]) bySeq.set(row.seq, row);
  return [...bySeq.values()].sort((one, other) => one.seq - other.seq);
}

/** Drops the rows beyond `MAX_ROWS` at one end. */
function trim(timeline: Timeline, end: "oldest" | "newest"): Timeline {
  if (timeline.rows.length <= MAX_ROWS) return timeline;
  if (end === "oldest") return { ...timeline, rows: timeline.rows.slice(-MAX_ROWS), hasOlder: true };
  return { ...timeline, rows: timeline.rows.slice(0, MAX_ROWS), hasNewer: true };
}

// ------------------------------------------------------------------ events

function addEvent(timeline: Timeline, event: RoomEvent, userId: string): Timeline {
  const next = applyEvent(timeline, event, userId);
  return next.pendingEvents ? { ...next, pendingEvents: [...next.pendingEvents, event] } : next;
}

function applyEvent(timeline: Timeline, event: RoomEvent, userId: string): Timeline {
  switch (event.__typename) {
    case "MessageCreated":
      return addMessage(timeline, event.message, event.message.threadRoot, userId);
    case "MessageUpdated":
      return mapRows(timeline, (row) => applyUpdate(row, event.message));
    case "MessageDeleted":
      return mapRows(timeline, (row) => applyDelete(row, event.messageId, event.at));
    case "ReactionChanged":
      return mapRows(timeline, (row) =>
        row.id === event.messageId ? applyReaction(row, event, event.user.id === userId) : row,
      );
    default:
      return timeline;
  }
}

type ThreadRoot = { id: string; thread: Message["thread"] } | null;

function addMessage(timeline: Timeline, message: SharedMessage, root: ThreadRoot, userId: string): Timeline {
  if (message.threadRootId !== timeline.threadRootId) {
    // A reply in another thread: only the reply count of its root changes here.
    return mapRows(timeline, (row) => (root && row.id === root.id ? { ...row, thread: root.thread } : row));
  }
  if (message.seq <= timeline.newestSeq) return mapRows(timeline, (row) => applyUpdate(row, message));
  const isCounted = message.author?.id !== userId && message.kind !== "SYSTEM";
  const next = {
    ...timeline,
    newestSeq: message.seq,
    unseenCount: timeline.unseenCount + (isCounted ? 1 : 0),
  };
  return timeline.hasNewer ? next : insertRow(next, toRow(message));
}

/** Inserts a row by its `seq`. It need not be the last: a mutation result may overtake the events of other messages. */
function insertRow(timeline: Timeline, row: Row): Timeline {
  const known = timeline.rows.find(({ id }) => id === row.id);
  const rows = known
    ? timeline.rows.map((other) => (other === known ? { ...known, ...row } : other))
    : mergeRows(timeline.rows, [row]);
  return trim({ ...timeline, rows }, "oldest");
}

/** Returns the same timeline when no row has changed, so that nothing is rendered again. */
function mapRows(timeline: Timeline, change: (row: Row) => Row): Timeline {
  const rows = timeline.rows.map(change);
  return rows.some((row, index) => row !== timeline.rows[index]) ? { ...timeline, rows } : timeline;
}

/** Events have no viewer fields: `viewerHasReacted` is taken from the known row, and `ReactionChanged` updates it. */
function toRow(message: SharedMessage, known?: Row): Row {
  const ownEmoji = new Set(known?.reactions.filter((group) => group.viewerHasReacted).map((group) => group.emoji));
  const reactions = message.reactions.map((group) => ({ ...group, viewerHasReacted: ownEmoji.has(group.emoji) }));
  return { ...known, ...message, reactions };
}

function applyUpdate(row: Row, message: SharedMessage): Row {
  if (row.id === message.id) return toRow(message, row);
  return row.replyTo?.id === message.id ? { ...row, replyTo: { ...row.replyTo, body: message.body } } : row;
}

function applyDelete(row: Row, id: string, at: string): Row {
  if (row.replyTo?.id === id) return { ...row, replyTo: { ...row.replyTo, body: null } };
  if (row.id !== id) return row;
  const cleared = { body: null, bodyHtml: null, pinnedAt: null, mentionsRoom: false };
  return { ...row, ...cleared, deletedAt: at, reactions: [], mentions: [], attachments: [] };
}

function applyReaction(row: Row, event: RoomEvent & { __typename: "ReactionChanged" }, isOwn: boolean): Row {
  const { emoji, count, added } = event;
  const known = row.reactions.find((group) => group.emoji === emoji);
  const group = { emoji, count, viewerHasReacted: isOwn ? added : (known?.viewerHasReacted ?? false) };
  const reactions = known ? row.reactions.map((other) => (other === known ? group : other)) : [...row.reactions, group];
  return { ...row, reactions: reactions.filter((other) => other.count > 0) };
}

// ------------------------------------------------------------------ results of the viewer's mutations

function applyResult(timeline: Timeline, message: Message): Timeline {
  const isNew =
    message.threadRootId === timeline.threadRootId && message.seq > timeline.newestSeq && !timeline.hasNewer;
  if (isNew) return insertRow(timeline, message);
  return mapRows(timeline, (row) => (row.id === message.id ? { ...row, ...message } : row));
}
