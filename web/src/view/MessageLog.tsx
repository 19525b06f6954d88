/** A room's messages: from the divider on, at the end, or wherever one has scrolled to. */
import { useEffect, useRef, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import type { Conversation } from "../state/conversation";
import { useStore } from "../store";
import { Icon } from "./Icon";
import { buildLogItems } from "./logItems";
import { LineShown } from "./LogItemView";
import { roomName } from "./format";
import { useReadTracking } from "./useReadTracking";
import { useRovingFocus } from "./useRovingFocus";
import { useScroll } from "./useScroll";
import { useSpeaking } from "./useOnNewUnsent";

/** So long a message that was jumped to stays lit. */
const HIGHLIGHT_MS = 2_500;

export function MessageLog({ conversation }: { conversation: Conversation }) {
  const chat = useChat();
  const { room } = conversation;
  const details = useStore(room.details);
  const timeline = useStore(room.timeline);
  const divider = useStore(room.divider);
  const unsent = useStore(chat.outbox.unsent).filter(
    (one) => one.roomId === room.id && !one.threadRootId && !timeline.rows.some(({ id }) => id === `msg_${one.key}`),
  );
  const list = useRef<HTMLDivElement>(null);
  const roving = useRovingFocus(list, conversation);
  const scroll = useScroll(
    list,
    {
      isEmpty: timeline.rows.length === 0,
      hasOlder: timeline.hasOlder,
      hasNewer: timeline.hasNewer,
      loadOlder: () => void room.loadOlder(),
      loadNewer: () => void room.loadNewer(),
    },
    () => list.current?.querySelector<HTMLElement>(".divider") ?? null,
  );
  const highlighted = useHighlightedTarget(conversation, scroll.scrollToRow);
  useReadTracking(
    scroll.isAtEnd && !timeline.hasNewer,
    timeline.newestSeq,
    () => void room.markRead(),
    () => room.moveDividerToEnd(),
  );

  const jumpToEnd = async () => {
    if (timeline.hasNewer) await room.jumpToEnd();
    scroll.scrollToEnd();
  };
  useSpeaking(unsent.length, () => void jumpToEnd());

  const items = buildLogItems(timeline.rows, unsent, divider, chat.userId);
  return (
    <div class="log-frame">
      <div
        class="log"
        ref={list}
        role="log"
        aria-label={details ? `Messages in ${roomName(details)}` : "Messages"}
        aria-busy={details === null || timeline.eventsDuringLoad !== null}
        tabIndex={0}
        onScroll={scroll.onScroll}
        {...roving.handlers}
      >
        <ol>
          {details && !timeline.hasOlder && <LogStart name={roomName(details)} />}
          {items.map((one) => (
            <LineShown
              key={one.key}
              item={one}
              conversation={conversation}
              isCurrent={roving.current === one.key}
              isHighlighted={highlighted === one.key}
            />
          ))}
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
    <li class="beginning">
      <p>
        This is the start of <strong>{name}</strong>.
      </p>
    </li>
  );
}

/** The message that was asked for: in the middle of the view, and lit for a while. */
function useHighlightedTarget({ room }: Conversation, scrollToRow: (id: string) => void): string | null {
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
