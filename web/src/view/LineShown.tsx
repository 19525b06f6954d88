/** One line of a list of messages: a day, the divider, a message, or one that has not arrived yet. */
import { memo } from "./memo";
import type { Conversation } from "../state/conversation";
import type { Line } from "./lines";
import { MessageRow } from "./MessageRow";
import { SystemRow } from "./SystemRow";
import { UnsentRow } from "./UnsentRow";

interface Props {
  line: Line;
  conversation: Conversation;
  isCurrent: boolean;
  isLit: boolean;
}

export const LineShown = memo(
  function LineShown({ line, conversation, isCurrent, isLit }: Props) {
    switch (line.kind) {
      case "day":
        return (
          <li class="day">
            <h2>{line.words}</h2>
          </li>
        );
      case "new":
        return (
          <li class="divider">
            <span>New messages</span>
          </li>
        );
      case "unsent":
        return <UnsentRow unsent={line.unsent} goesOn={line.goesOn} />;
      case "row":
        if (line.row.kind === "SYSTEM") return <SystemRow row={line.row} isLit={isLit} />;
        return <MessageRow {...{ row: line.row, goesOn: line.goesOn, conversation, isCurrent, isLit }} />;
    }
  },
  (one, other) =>
    one.isCurrent === other.isCurrent &&
    one.isLit === other.isLit &&
    one.conversation === other.conversation &&
    isSame(one.line, other.line),
);

function isSame(one: Line, other: Line): boolean {
  if (one.kind === "row" && other.kind === "row") return one.row === other.row && one.goesOn === other.goesOn;
  if (one.kind === "unsent" && other.kind === "unsent")
    return one.unsent === other.unsent && one.goesOn === other.goesOn;
  return one.key === other.key && one.kind === other.kind;
}
