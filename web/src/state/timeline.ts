/**
 * A room's messages, or a thread's, as a pure function of pages and events.
 *
 * The law: a page and the events after it make what a fresh page would show. Events carry absolute values and may be
 * applied again, so those that come while a page is under way are kept, and repeated on what that page brings.
 */
import type { RoomEvent } from "../api/live";
import type { Message, Page, SharedMessage } from "../api/messages";

/** `pageCursor` is where older pages go on; rows that came live have none. */
export type Row = Message & { pageCursor?: string };

export interface Timeline {
  /** The root of the thread whose replies these are; null for the room's own messages. */
  readonly threadRootId: string | null;
  /** By `seq`, without holes between the first and the last. */
  readonly rows: readonly Row[];
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  /** Of all that pages and events have told of, in the window or not. */
  readonly newestSeq: number;
  /** Others' messages since the end was last looked at. */
  readonly unseen: number;
  /** Events since the page under way was asked for; null while none is. */
  readonly meanwhile: readonly RoomEvent[] | null;
}

export type Action =
  | { type: "asked" }
  | { type: "failed" }
  | { type: "opened" | "older" | "newer"; page: Page; me: string }
  | { type: "event"; event: RoomEvent; me: string }
  | { type: "changed"; message: Message }
  | { type: "looked" };

/** Rows that are kept; more are let go at the far end, and loaded again when somebody scrolls there. */
export const MOST_ROWS = 400;

export function emptyTimeline(threadRootId: string | null = null): Timeline {
  return { threadRootId, rows: [], hasOlder: false, hasNewer: false, newestSeq: 0, unseen: 0, meanwhile: null };
}

export function reduce(line: Timeline, action: Action): Timeline {
  switch (action.type) {
    case "asked":
      return { ...line, meanwhile: line.meanwhile ?? [] };
    case "failed":
      return { ...line, meanwhile: null };
    case "opened":
    case "older":
    case "newer":
      return withPage(line, action.type, action.page, action.me);
    case "event":
      return withEvent(line, action.event, action.me);
    case "changed":
      return withMessage(line, action.message);
    case "looked":
      return line.unseen === 0 ? line : { ...line, unseen: 0 };
  }
}

// ------------------------------------------------------------------ pages

function withPage(line: Timeline, side: "opened" | "older" | "newer", page: Page, me: string): Timeline {
  const came = page.edges.map(({ cursor, node }) => ({ ...node, pageCursor: cursor }));
  const rows = side === "opened" ? came : merged(line.rows, came);
  // Not the rows': a message of one's own may stand there before others that were said earlier have come.
  const newestSeq = Math.max(line.newestSeq, came.at(-1)?.seq ?? 0);
  const { hasPreviousPage, hasNextPage } = page.pageInfo;
  const next: Timeline = {
    ...line,
    rows,
    newestSeq,
    hasOlder: side === "newer" ? line.hasOlder : hasPreviousPage,
    // Something may have been said since the page was read: then its end is not the end.
    hasNewer: side === "older" ? line.hasNewer : hasNextPage || (rows.at(-1)?.seq ?? 0) < newestSeq,
    meanwhile: null,
  };
  const repeated = (line.meanwhile ?? []).reduce((known, event) => withChange(known, event, me), next);
  return bounded(repeated, side === "older" ? "newest" : "oldest");
}

/** What a page brings is newer than what was there. */
function merged(rows: readonly Row[], came: readonly Row[]): Row[] {
  const bySeq = new Map<number, Row>();
  for (const row of [...rows, ...came]) bySeq.set(row.seq, row);
  return [...bySeq.values()].sort((one, other) => one.seq - other.seq);
}

function bounded(line: Timeline, letGo: "oldest" | "newest"): Timeline {
  if (line.rows.length <= MOST_ROWS) return line;
  if (letGo === "oldest") return { ...line, rows: line.rows.slice(-MOST_ROWS), hasOlder: true };
  return { ...line, rows: line.rows.slice(0, MOST_ROWS), hasNewer: true };
}

// ------------------------------------------------------------------ events

function withEvent(line: Timeline, event: RoomEvent, me: string): Timeline {
  const next = withChange(line, event, me);
  return next.meanwhile ? { ...next, meanwhile: [...next.meanwhile, event] } : next;
}

function withChange(line: Timeline, event: RoomEvent, me: string): Timeline {
  switch (event.__typename) {
    case "MessageCreated":
      return withNew(line, event.message, event.message.threadRoot, me);
    case "MessageUpdated":
      return mapRows(line, (row) => edited(row, event.message));
    case "MessageDeleted":
      return mapRows(line, (row) => erased(row, event.messageId, event.at));
    case "ReactionChanged":
      return mapRows(line, (row) => (row.id === event.messageId ? reacted(row, event, event.user.id === me) : row));
    default:
      return line;
  }
}

type Root = { id: string; thread: Message["thread"] } | null;

function withNew(line: Timeline, message: SharedMessage, root: Root, me: string): Timeline {
  if (message.threadRootId !== line.threadRootId) {
    return mapRows(line, (row) => (root && row.id === root.id ? { ...row, thread: root.thread } : row));
  }
  if (message.seq <= line.newestSeq) return mapRows(line, (row) => edited(row, message));
  const mine = message.author?.id === me;
  const next = {
    ...line,
    newestSeq: message.seq,
    unseen: mine || message.kind === "SYSTEM" ? line.unseen : line.unseen + 1,
  };
  return line.hasNewer ? next : placed(next, own(message));
}

/** An answer may have come before the events of others, so a row takes its place by `seq`. */
function placed(line: Timeline, row: Row): Timeline {
  const known = line.rows.find(({ id }) => id === row.id);
  const rows = known
    ? line.rows.map((other) => (other === known ? { ...known, ...row } : other))
    : merged(line.rows, [row]);
  return bounded({ ...line, rows }, "oldest");
}

function mapRows(line: Timeline, change: (row: Row) => Row): Timeline {
  const rows = line.rows.map(change);
  return rows.some((row, index) => row !== line.rows[index]) ? { ...line, rows } : line;
}

/** An event does not say what the viewer did: known reactions stay theirs, and each new one has its own event. */
function own(message: SharedMessage, known?: Row): Row {
  const mine = new Set(known?.reactions.filter((group) => group.viewerHasReacted).map((group) => group.emoji));
  const reactions = message.reactions.map((group) => ({ ...group, viewerHasReacted: mine.has(group.emoji) }));
  return { ...known, ...message, reactions };
}

function edited(row: Row, message: SharedMessage): Row {
  if (row.id === message.id) return own(message, row);
  return row.replyTo?.id === message.id ? { ...row, replyTo: { ...row.replyTo, body: message.body } } : row;
}

function erased(row: Row, id: string, at: string): Row {
  if (row.replyTo?.id === id) return { ...row, replyTo: { ...row.replyTo, body: null } };
  if (row.id !== id) return row;
  const nothing = { body: null, bodyHtml: null, pinnedAt: null, mentionsRoom: false };
  return { ...row, ...nothing, deletedAt: at, reactions: [], mentions: [], attachments: [] };
}

function reacted(row: Row, event: RoomEvent & { __typename: "ReactionChanged" }, mine: boolean): Row {
  const { emoji, count, added } = event;
  const known = row.reactions.find((group) => group.emoji === emoji);
  const group = { emoji, count, viewerHasReacted: mine ? added : (known?.viewerHasReacted ?? false) };
  const reactions = known ? row.reactions.map((other) => (other === known ? group : other)) : [...row.reactions, group];
  return { ...row, reactions: reactions.filter((other) => other.count > 0) };
}

// ------------------------------------------------------------------ answers to one's own deeds

function withMessage(line: Timeline, message: Message): Timeline {
  const isOfHere = message.threadRootId === line.threadRootId;
  const isNew = isOfHere && message.seq > line.newestSeq && !line.hasNewer;
  if (isNew) return placed(line, message);
  return mapRows(line, (row) => (row.id === message.id ? { ...row, ...message } : row));
}
