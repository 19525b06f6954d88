/** What the message lists of a room and of a thread share: unsent messages, loading on scroll, and keyboard focus. */
import type { ComponentProps } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useChat } from "../state/chat";
import type { Conversation } from "../state/conversation";
import type { UnsentMessage } from "../state/outbox";
import type { Timeline } from "../state/timeline";
import { useStore } from "../store";
import { useRovingFocus } from "./useRovingFocus";
import { type Scroll, useScroll } from "./useScroll";

interface MessageList {
  timeline: Timeline;
  /** The messages of the viewer that are not in the timeline yet. */
  unsent: readonly UnsentMessage[];
  scroll: Scroll;
  /** The key of the row that has the keyboard focus. */
  current: string | null;
  jumpToEnd(): Promise<void>;
  /** The attributes of the scrolling element. */
  attributes: ComponentProps<"div">;
}

/** `startSelector` matches the row to show first; without such a row the list starts at its end. */
export function useMessageList(
  conversation: Conversation,
  startSelector: string,
  loadEnd?: () => Promise<void>,
): MessageList {
  const { room, threadRootId, source } = conversation;
  const list = useRef<HTMLDivElement>(null);
  const timeline = useStore(conversation.timeline);
  const sentIds = new Set(timeline.rows.map(({ id }) => id));
  const unsent = useStore(useChat().outbox.unsent).filter(
    (one) => one.roomId === room.id && one.threadRootId === threadRootId && !sentIds.has(`msg_${one.key}`),
  );
  const { current, handlers } = useRovingFocus(list, conversation);
  const scroll = useScroll(
    list,
    {
      isEmpty: timeline.rows.length === 0,
      hasOlder: timeline.hasOlder,
      hasNewer: timeline.hasNewer,
      loadOlder: () => void source.loadOlder(),
      loadNewer: () => void source.loadNewer(),
    },
    () => list.current?.querySelector<HTMLElement>(startSelector) ?? null,
  );

  const jumpToEnd = async () => {
    if (timeline.hasNewer) await loadEnd?.();
    scroll.scrollToEnd();
  };
  // A message that the viewer has just sent is scrolled into view.
  const unsentBefore = useRef(unsent.length);
  useEffect(() => {
    if (unsent.length > unsentBefore.current) void jumpToEnd();
    unsentBefore.current = unsent.length;
  }, [unsent.length]);

  const attributes = {
    ref: list,
    class: "log",
    role: "log",
    tabIndex: 0,
    onScroll: scroll.onScroll,
    ...handlers,
  } as const;
  return { timeline, unsent, scroll, current, jumpToEnd, attributes };
}
