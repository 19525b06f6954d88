/** Builds the items of a message list: day headings, the "New messages" divider, sent and unsent messages. */
import type { UnsentMessage } from "../state/outbox";
import type { Row } from "../state/timeline";
import { formatDay } from "./format";

/** `isGrouped`: the message follows another one of the same author and is shown without avatar and name. */
export type LogItem =
  | { kind: "day"; key: string; label: string }
  | { kind: "divider"; key: string }
  | { kind: "message"; key: string; row: Row; isGrouped: boolean }
  | { kind: "unsent"; key: string; unsent: UnsentMessage; isGrouped: boolean };

/** Consecutive messages of one author are grouped when less than this lies between them. */
const GROUP_WITHIN_MS = 5 * 60_000;

interface Origin {
  authorId: string | undefined;
  createdAt: string;
}

/** `readSeq` is the seq of the last read message: the divider stands after it. Null for no divider. */
export function buildLogItems(
  rows: readonly Row[],
  unsent: readonly UnsentMessage[],
  readSeq: number | null,
  userId: string,
): LogItem[] {
  const items: LogItem[] = [];
  let previous: Origin | null = null;
  let hasDivider = readSeq === null;
  for (const row of rows) {
    previous = pushDay(items, row.createdAt, previous);
    if (!hasDivider && row.seq > (readSeq ?? 0) && row.kind === "USER" && row.author?.id !== userId) {
      items.push({ kind: "divider", key: "divider" });
      [hasDivider, previous] = [true, null];
    }
    const origin: Origin = { authorId: row.author?.id, createdAt: row.createdAt };
    items.push({ kind: "message", key: row.id, row, isGrouped: canGroup(previous, origin) && !row.replyTo });
    previous = origin;
  }
  for (const one of unsent) {
    previous = pushDay(items, one.createdAt, previous);
    const origin: Origin = { authorId: userId, createdAt: one.createdAt };
    const isGrouped = canGroup(previous, origin) && !one.replyTo;
    items.push({ kind: "unsent", key: `msg_${one.key}`, unsent: one, isGrouped });
    previous = origin;
  }
  return items;
}

/** Adds a day heading if the day changes. Returns the previous message, or null: no group continues over a heading. */
function pushDay(items: LogItem[], createdAt: string, previous: Origin | null): Origin | null {
  const label = formatDay(createdAt);
  const last = items.findLast((item) => item.kind === "day");
  if (last?.label === label) return previous;
  items.push({ kind: "day", key: `day ${label}`, label });
  return null;
}

function canGroup(previous: Origin | null, current: Origin): boolean {
  if (!previous || !current.authorId || previous.authorId !== current.authorId) return false;
  return Date.parse(current.createdAt) - Date.parse(previous.createdAt) < GROUP_WITHIN_MS;
}
