/** What the room says of itself. */
import type { Row } from "../state/timeline";
import { MessageBody } from "./MessageBody";
import { momentOf, timeOf } from "./names";

export function SystemRow({ row, isLit }: { row: Row; isLit: boolean }) {
  return (
    <li class={`system ${isLit ? "lit" : ""}`} data-key={row.id} tabIndex={-1}>
      <MessageBody row={row} />
      <time dateTime={row.createdAt} title={momentOf(row.createdAt)}>
        {timeOf(row.createdAt)}
      </time>
    </li>
  );
}
