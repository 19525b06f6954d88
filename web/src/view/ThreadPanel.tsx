/** A thread: the message it began with, its replies, and where to write one. */
import { useMemo, useRef } from "preact/hooks";
import { useChat } from "../state/chat";
import { Conversation } from "../state/conversation";
import type { OpenedRoomState } from "../state/room";
import { useStore } from "../store";
import type { OpenedThread } from "../state/thread";
import { Composer } from "./Composer";
import { linesOf } from "./lines";
import { LineShown } from "./LineShown";
import { useRoving } from "./useRoving";
import { useScroll } from "./useScroll";
import { useSpeaking } from "./useSpeaking";

export function ThreadPanel({ room, thread }: { room: OpenedRoomState; thread: OpenedThread }) {
  const chat = useChat();
  const { outbox } = chat;
  const [root] = useStore(thread.root).rows;
  const line = useStore(thread.line);
  const facts = useStore(room.facts);
  const conversation = useMemo(() => new Conversation(room, thread.rootId, thread.line), [room, thread]);
  const unsent = useStore(outbox.unsent).filter(
    (one) => one.threadRootId === thread.rootId && !line.rows.some(({ id }) => id === `msg_${one.key}`),
  );
  const list = useRef<HTMLDivElement>(null);
  const roving = useRoving(list, conversation);
  const scroll = useScroll(
    list,
    {
      isEmpty: line.rows.length === 0,
      hasOlder: line.hasOlder,
      hasNewer: line.hasNewer,
      older: () => void thread.older(),
      newer: () => void thread.newer(),
    },
    () => list.current?.querySelector<HTMLElement>(`[data-key="${thread.target}"]`) ?? null,
  );
  useSpeaking(unsent.length, scroll.stick);
  const first = root ? linesOf([root], [], null, chat.userId) : [];
  const replies = linesOf(line.rows, unsent, null, chat.userId).filter(({ kind }) => kind !== "day");
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
              line={one}
              conversation={conversation}
              isCurrent={roving.current === one.key}
              isLit={thread.target === one.key}
            />
          ))}
        </ol>
      </div>
      {facts?.viewerMembership && <Composer conversation={conversation} outbox={outbox} />}
    </>
  );
}
