/** Renders the items of a message list. An item is rendered again only when it has changed. */
import type { Conversation } from "../state/conversation";
import type { LogItem } from "./buildLogItems";
import { memo } from "./memo";
import { MessageRow } from "./MessageRow";
import { SystemRow } from "./SystemRow";
import { UnsentRow } from "./UnsentRow";

interface Props {
  items: readonly LogItem[];
  conversation: Conversation;
  /** The key of the item that has the keyboard focus. */
  current: string | null;
  /** The key of the item that is highlighted. */
  highlighted: string | null;
}

export function LogItems({ items, conversation, current, highlighted }: Props) {
  return (
    <>
      {items.map((item) => (
        <Item
          key={item.key}
          item={item}
          conversation={conversation}
          isCurrent={current === item.key}
          isHighlighted={highlighted === item.key}
        />
      ))}
    </>
  );
}

interface ItemProps {
  item: LogItem;
  conversation: Conversation;
  isCurrent: boolean;
  isHighlighted: boolean;
}

const Item = memo(
  function Item({ item, conversation, isCurrent, isHighlighted }: ItemProps) {
    switch (item.kind) {
      case "day":
        return (
          <li class="day">
            <h2>{item.label}</h2>
          </li>
        );
      case "divider":
        return (
          <li class="divider">
            <span>New messages</span>
          </li>
        );
      case "unsent":
        return <UnsentRow unsent={item.unsent} isGrouped={item.isGrouped} />;
      case "message":
        if (item.row.kind === "SYSTEM") return <SystemRow row={item.row} isHighlighted={isHighlighted} />;
        return <MessageRow {...{ row: item.row, isGrouped: item.isGrouped, conversation, isCurrent, isHighlighted }} />;
    }
  },
  (one, other) =>
    one.isCurrent === other.isCurrent &&
    one.isHighlighted === other.isHighlighted &&
    one.conversation === other.conversation &&
    isSame(one.item, other.item),
);

function isSame(one: LogItem, other: LogItem): boolean {
  if (one.kind === "message" && other.kind === "message")
    return one.row === other.row && one.isGrouped === other.isGrouped;
  if (one.kind === "unsent" && other.kind === "unsent")
    return one.unsent === other.unsent && one.isGrouped === other.isGrouped;
  return one.key === other.key && one.kind === other.kind;
}
