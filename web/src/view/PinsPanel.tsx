/** What was pinned in a room, the newest pin first. */
import { useEffect, useState } from "preact/hooks";
import { Pins, type Message } from "../api/messages";
import { ask } from "../api/refusal";
import type { OpenedRoomState } from "../state/room";
import { MessageCard } from "./MessageCard";
import { MessageBody } from "./MessageBody";

export function PinsPanel({ room }: { room: OpenedRoomState }) {
  const [pins, setPins] = useState<readonly Message[] | null>(null);
  useEffect(() => {
    let isShown = true;
    const look = async () => {
      const answer = await ask(room.client, Pins, { roomId: room.id });
      if (isShown) setPins(answer.room?.pinnedMessages.nodes ?? []);
    };
    const tryTo = () => void look().catch(() => undefined);
    tryTo();
    const stop = room.listen(({ __typename }) => {
      if (__typename === "MessageUpdated" || __typename === "MessageDeleted") tryTo();
    });
    return () => {
      isShown = false;
      stop();
    };
  }, [room]);
  if (pins?.length === 0) return <p class="nothing">Nothing is pinned here yet.</p>;
  return (
    <ul class="cards">
      {pins?.map((message) => (
        <li key={message.id}>
          <MessageCard message={message} onShow={() => void room.toMessage(message.id)}>
            <MessageBody row={message} />
          </MessageCard>
        </li>
      ))}
    </ul>
  );
}
