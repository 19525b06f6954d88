/** A thread: its first message, the replies, and a composer for members. */
import { useMemo } from "preact/hooks";
import { useChat } from "../state/chat";
import { Conversation } from "../state/conversation";
import type { RoomState } from "../state/room";
import type { ThreadState } from "../state/thread";
import { useStore } from "../store";
import { buildLogItems } from "./buildLogItems";
import { Composer } from "./Composer";
import { LogItems } from "./LogItems";
import { useMessageList } from "./useMessageList";
import { useReadTracking } from "./useReadTracking";

export function ThreadPanel({ room, thread }: { room: RoomState; thread: ThreadState }) {
  const { outbox, userId } = useChat();
  const [root] = useStore(thread.root).rows;
  const details = useStore(room.details);
  const conversation = useMemo(() => new Conversation(room, thread), [room, thread]);
  const list = useMessageList(conversation, `[data-key="${thread.target}"]`);
  const { timeline, scroll } = list;
  useReadTracking(
    Boolean(details?.viewerMembership) && scroll.isAtEnd && !timeline.hasNewer,
    timeline.newestSeq,
    () => void thread.markRead(),
    () => undefined,
  );
  const rootItems = root ? buildLogItems([root], [], null, userId) : [];
  const replies = buildLogItems(timeline.rows, list.unsent, null, userId).filter(({ kind }) => kind !== "day");
  return (
    <>
      <div {...list.attributes} aria-label="Thread">
        <ol>
          <LogItems
            items={[...rootItems, ...replies]}
            conversation={conversation}
            current={list.current}
            highlighted={thread.target}
          />
        </ol>
      </div>
      {details?.viewerMembership && <Composer conversation={conversation} outbox={outbox} />}
    </>
  );
}
