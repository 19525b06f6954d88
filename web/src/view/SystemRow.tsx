/** A system message, for example about a new member. */
import type { Row } from "../state/timeline";
import { formatDateTime, formatTime } from "./format";
import { MessageBody } from "./MessageBody";

export function SystemRow({ row, isHighlighted }: { row: Row; isHighlighted: boolean }) {
  return (
    <li class={`system ${isHighlighted ? "lit" : ""}`} data-key={row.id} tabIndex={-1}>
      <MessageBody row={row} />
      <time dateTime={row.createdAt} title={formatDateTime(row.createdAt)}>
        {formatTime(row.createdAt)}
      </time>
    </li>
  );
}
