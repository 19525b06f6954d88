/** What stands in place of the composer for who only reads a public room. */
import { Join as JoinRoom } from "../api/roomChanges";
import { act } from "../api/refusal";
import type { OpenedRoomState } from "../state/room";
import { useDeed } from "./useDeed";

export function Join({ room }: { room: OpenedRoomState }) {
  const deed = useDeed();
  const join = () =>
    deed.run(async () => {
      await act(room.client, JoinRoom, { input: { roomId: room.id } });
      await room.look();
    });
  return (
    <div class="join">
      <p>You are looking at this room from outside.</p>
      <button type="button" class="primary" disabled={deed.isBusy} onClick={join}>
        Join room
      </button>
      <p class="failure" role="alert">
        {deed.failure}
      </p>
    </div>
  );
}
