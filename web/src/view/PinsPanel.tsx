/** The pinned messages of a room, the last pinned first. */
import { useEffect, useState } from "preact/hooks";
import { Pins, type Message } from "../api/messages";
import { runQuery } from "../api/request";
import type { RoomState } from "../state/room";
import { MessagePreview } from "./MessagePreview";
import { MessageBody } from "./MessageBody";

export function PinsPanel({ room }: { room: RoomState }) {
  const [pins, setPins] = useState<readonly Message[] | null>(null);
  useEffect(() => {
    let isMounted = true;
    const load = async () => {
      const answer = await runQuery(room.client, Pins, { roomId: room.id });
      if (isMounted) setPins(answer.room?.pinnedMessages.nodes ?? []);
    };
    const reload = () => void load().catch(() => undefined);
    reload();
    const removeListener = room.addListener(({ __typename }) => {
      if (__typename === "MessageUpdated" || __typename === "MessageDeleted") reload();
    });
    return () => {
      isMounted = false;
      removeListener();
    };
  }, [room]);
  if (pins?.length === 0) return <p class="empty">Nothing is pinned here yet.</p>;
  return (
    <ul class="cards">
      {pins?.map((message) => (
        <li key={message.id}>
          <MessagePreview message={message} onShow={() => void room.jumpToMessage(message.id)}>
            <MessageBody row={message} />
          </MessagePreview>
        </li>
      ))}
    </ul>
  );
}
