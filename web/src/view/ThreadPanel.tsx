/** A thread: the message it began with, its replies, and where to write one. */
import { useMemo, useRef } from "preact/hooks";
import { useChat } from "../state/chat";
import { Conversation } from "../state/conversation";
import type { RoomState } from "../state/room";
import { useStore } from "../store";
import type { ThreadState } from "../state/thread";
import { Composer } from "./Composer";
import { buildLogItems } from "./logItems";
import { LineShown } from "./LogItemView";
import { useRovingFocus } from "./useRovingFocus";
import { useScroll } from "./useScroll";
import { useSpeaking } from "./useOnNewUnsent";

export function ThreadPanel({ room, thread }: { room: RoomState; thread: ThreadState }) {
  const chat = useChat();
  const { outbox } = chat;
  const [root] = useStore(thread.root).rows;
  const timeline = useStore(thread.timeline);
  const details = useStore(room.details);
  const conversation = useMemo(() => new Conversation(room, thread.rootId, thread.timeline), [room, thread]);
  const unsent = useStore(outbox.unsent).filter(
    (one) => one.threadRootId === thread.rootId && !timeline.rows.some(({ id }) => id === `msg_${one.key}`),
  );
  const list = useRef<HTMLDivElement>(null);
  const roving = useRovingFocus(list, conversation);
  const scroll = useScroll(
    list,
    {
      isEmpty: timeline.rows.length === 0,
      hasOlder: timeline.hasOlder,
      hasNewer: timeline.hasNewer,
      loadOlder: () => void thread.loadOlder(),
      loadNewer: () => void thread.loadNewer(),
    },
    () => list.current?.querySelector<HTMLElement>(`[data-key="${thread.target}"]`) ?? null,
  );
  useSpeaking(unsent.length, scroll.scrollToEnd);
  const first = root ? buildLogItems([root], [], null, chat.userId) : [];
  const replies = buildLogItems(timeline.rows, unsent, null, chat.userId).filter(({ kind }) => kind !== "day");
  const shown = [...first, ...replies];
  return (
    <>
      <div
        class="log"
        ref={list}
        role="log"
        aria-label="Thread"
        tabIndex={0}
        onScroll={scroll.onScroll}
        {...roving.handlers}
      >
        <ol>
          {shown.map((one) => (
            <LineShown
              key={one.key}
              item={one}
              conversation={conversation}
              isCurrent={roving.current === one.key}
              isHighlighted={thread.target === one.key}
            />
          ))}
        </ol>
      </div>
      {details?.viewerMembership && <Composer conversation={conversation} outbox={outbox} />}
    </>
  );
}
