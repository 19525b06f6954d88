/** Stands in place of the composer when the viewer is not a member of the room. */
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
      <p>You are not a member of this room.</p>
      <button type="button" class="primary" disabled={action.isBusy} onClick={join}>
        Join room
      </button>
      <p class="failure" role="alert">
        {action.error}
      </p>
    </div>
  );
}
