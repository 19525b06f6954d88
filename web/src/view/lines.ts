/** Rows and what stands between them: days, the line above what is new, who goes on speaking. */
import type { Unsent } from "../state/unsent";
import type { Row } from "../state/timeline";
import { dayOf } from "./names";

export type Line =
  | { kind: "day"; key: string; words: string }
  | { kind: "new"; key: string }
  | { kind: "row"; key: string; row: Row; goesOn: boolean }
  | { kind: "unsent"; key: string; unsent: Unsent; goesOn: boolean };

/** Within it, messages of one person stand under one name. */
const BREATH_MS = 5 * 60_000;

interface Said {
  by: string | undefined;
  at: string;
}

export function linesOf(rows: readonly Row[], unsent: readonly Unsent[], divider: number | null, me: string): Line[] {
  const lines: Line[] = [];
  let before: Said | null = null;
  let isDivided = divider === null;
  for (const row of rows) {
    before = pushDay(lines, row.createdAt, before);
    if (!isDivided && row.seq > (divider ?? 0) && row.kind === "USER" && row.author?.id !== me) {
      lines.push({ kind: "new", key: "new" });
      [isDivided, before] = [true, null];
    }
    const said: Said = { by: row.author?.id, at: row.createdAt };
    lines.push({ kind: "row", key: row.id, row, goesOn: goesOn(before, said) && !row.replyTo });
    before = said;
  }
  for (const one of unsent) {
    before = pushDay(lines, one.createdAt, before);
    const said: Said = { by: me, at: one.createdAt };
    lines.push({ kind: "unsent", key: `msg_${one.key}`, unsent: one, goesOn: goesOn(before, said) && !one.replyTo });
    before = said;
  }
  return lines;
}

function pushDay(lines: Line[], at: string, before: Said | null): Said | null {
  const day = dayOf(at);
  const known = lines.findLast((line) => line.kind === "day");
  if (known?.words === day) return before;
  lines.push({ kind: "day", key: `day ${day}`, words: day });
  return null;
}

function goesOn(before: Said | null, said: Said): boolean {
  if (!before || !said.by || before.by !== said.by) return false;
  return Date.parse(said.at) - Date.parse(before.at) < BREATH_MS;
}
