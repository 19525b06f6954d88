/** The pinned messages of a room, the last pinned first. */
import { Pins } from "../api/messages";
import { runQuery } from "../api/request";
import type { RoomState } from "../state/room";
import { MessageBody } from "./MessageBody";
import { MessagePreview } from "./MessagePreview";
import { useRoomData } from "./useRoomData";

export function PinsPanel({ room }: { room: RoomState }) {
  const pins = useRoomData(room, ["MessageUpdated", "MessageDeleted"], async () => {
    const result = await runQuery(room.client, Pins, { roomId: room.id });
    return result.room?.pinnedMessages.nodes ?? [];
  });
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
