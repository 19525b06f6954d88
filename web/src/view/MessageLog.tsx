/** A room's messages: from the divider on, at the end, or wherever one has scrolled to. */
import { useEffect, useRef, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import type { Conversation } from "../state/conversation";
import { useStore } from "../store";
import { Icon } from "./Icon";
import { linesOf } from "./lines";
import { LineShown } from "./LineShown";
import { nameOf } from "./names";
import { useReading } from "./useReading";
import { useRoving } from "./useRoving";
import { useScroll } from "./useScroll";
import { useSpeaking } from "./useSpeaking";

/** So long a message that was jumped to stays lit. */
const LIT_MS = 2_500;

export function MessageLog({ conversation }: { conversation: Conversation }) {
  const chat = useChat();
  const { room } = conversation;
  const facts = useStore(room.facts);
  const line = useStore(room.line);
  const divider = useStore(room.divider);
  const unsent = useStore(chat.outbox.unsent).filter(
    (one) => one.roomId === room.id && !one.threadRootId && !line.rows.some(({ id }) => id === `msg_${one.key}`),
  );
  const list = useRef<HTMLDivElement>(null);
  const roving = useRoving(list, conversation);
  const scroll = useScroll(
    list,
    {
      isEmpty: line.rows.length === 0,
      hasOlder: line.hasOlder,
      hasNewer: line.hasNewer,
      older: () => void room.older(),
      newer: () => void room.newer(),
    },
    () => list.current?.querySelector<HTMLElement>(".divider") ?? null,
  );
  const lit = useTarget(conversation, scroll.show);
  useReading(
    scroll.isAtEnd && !line.hasNewer,
    line.newestSeq,
    () => void room.read(),
    () => room.lookAway(),
  );

  const toEnd = async () => {
    if (line.hasNewer) await room.toEnd();
    scroll.stick();
  };
  useSpeaking(unsent.length, () => void toEnd());

  const lines = linesOf(line.rows, unsent, divider, chat.userId);
  return (
    <div class="log-frame">
      <div
        class="log"
        ref={list}
        role="log"
        aria-label={facts ? `Messages in ${nameOf(facts)}` : "Messages"}
        aria-busy={facts === null || line.meanwhile !== null}
        tabIndex={0}
        onScroll={scroll.onScroll}
        {...roving.handlers}
      >
        <ol>
          {facts && !line.hasOlder && <Beginning name={nameOf(facts)} />}
          {lines.map((one) => (
            <LineShown
              key={one.key}
              line={one}
              conversation={conversation}
              isCurrent={roving.current === one.key}
              isLit={lit === one.key}
            />
          ))}
        </ol>
      </div>
      {(!scroll.isAtEnd || line.hasNewer) && line.rows.length > 0 && (
        <button type="button" class="to-end" onClick={() => void toEnd()}>
          <Icon name="down" /> Jump to latest{line.unseen > 0 && ` (${line.unseen})`}
        </button>
      )}
    </div>
  );
}

function Beginning({ name }: { name: string }) {
  return (
    <li class="beginning">
      <p>
        This is the start of <strong>{name}</strong>.
      </p>
    </li>
  );
}

/** The message that was asked for: in the middle of the view, and lit for a while. */
function useTarget({ room }: Conversation, show: (id: string) => void): string | null {
  const target = useStore(room.target);
  const [lit, setLit] = useState<string | null>(null);
  useEffect(() => {
    if (!target) return;
    show(target.id);
    setLit(target.id);
    const timer = setTimeout(() => setLit(null), LIT_MS);
    return () => clearTimeout(timer);
  }, [target]);
  return lit;
}
