/** What stands in place of the composer for who only reads a public room. */
import { JoinRoom as JoinRoom } from "../api/roomMutations";
import { runMutation } from "../api/request";
import type { RoomState } from "../state/room";
import { useAction } from "./useAction";

export function JoinBar({ room }: { room: RoomState }) {
  const action = useAction();
  const join = () =>
    action.run(async () => {
      await runMutation(room.client, JoinRoom, { input: { roomId: room.id } });
      await room.reloadDetails();
    });
  return (
    <div class="join">
      <p>You are looking at this room from outside.</p>
      <button type="button" class="primary" disabled={action.isBusy} onClick={join}>
        Join room
      </button>
      <p class="failure" role="alert">
        {action.error}
      </p>
    </div>
  );
}
