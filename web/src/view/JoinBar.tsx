/** Replaces the composer when the viewer is not a member of the room. */
import { runMutation } from "../api/request";
import { JoinRoom } from "../api/roomMutations";
import type { RoomState } from "../state/room";
import { ErrorText } from "./ErrorText";
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
      <ErrorText text={action.error} />
    </div>
  );
}
