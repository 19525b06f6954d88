/** The messages of a room. The list starts at the "New messages" divider if there is one, otherwise at its end. */
import { useEffect, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import type { Conversation } from "../state/conversation";
import { useStore } from "../store";
import { buildLogItems } from "./buildLogItems";
import { roomName } from "./format";
import { Icon } from "./Icon";
import { LogItems } from "./LogItems";
import { useMessageList } from "./useMessageList";
import { useReadTracking } from "./useReadTracking";

/** How long a message stays highlighted after a jump to it. */
const HIGHLIGHT_MS = 2_500;

export function MessageLog({ conversation }: { conversation: Conversation }) {
  const { userId } = useChat();
  const { room } = conversation;
  const details = useStore(room.details);
  const readSeq = useStore(room.divider);
  const list = useMessageList(conversation, ".divider", () => room.jumpToEnd());
  const { timeline, scroll, jumpToEnd } = list;
  const highlighted = useJumpTarget(conversation, scroll.scrollToRow);
  useReadTracking(
    scroll.isAtEnd && !timeline.hasNewer,
    timeline.newestSeq,
    () => void room.markRead(),
    () => room.moveDividerToEnd(),
  );
  return (
    <div class="log-frame">
      <div
        {...list.attributes}
        aria-label={details ? `Messages in ${roomName(details)}` : "Messages"}
        aria-busy={details === null || timeline.pendingEvents !== null}
      >
        <ol>
          {details && !timeline.hasOlder && <LogStart name={roomName(details)} />}
          <LogItems
            items={buildLogItems(timeline.rows, list.unsent, readSeq, userId)}
            conversation={conversation}
            current={list.current}
            highlighted={highlighted}
          />
        </ol>
      </div>
      {(!scroll.isAtEnd || timeline.hasNewer) && timeline.rows.length > 0 && (
        <button type="button" class="to-end" onClick={() => void jumpToEnd()}>
          <Icon name="down" /> Jump to latest{timeline.unseenCount > 0 && ` (${timeline.unseenCount})`}
        </button>
      )}
    </div>
  );
}

function LogStart({ name }: { name: string }) {
  return (
    <li class="log-start">
      <p>
        This is the start of <strong>{name}</strong>.
      </p>
    </li>
  );
}

/** Scrolls to the message that the viewer wants to see. Returns its id while it is highlighted. */
function useJumpTarget({ room }: Conversation, scrollToRow: (id: string) => void): string | null {
  const target = useStore(room.target);
  const [highlighted, setHighlighted] = useState<string | null>(null);
  useEffect(() => {
    if (!target) return;
    scrollToRow(target.id);
    setHighlighted(target.id);
    const timer = setTimeout(() => setHighlighted(null), HIGHLIGHT_MS);
    return () => clearTimeout(timer);
  }, [target]);
  return highlighted;
}
