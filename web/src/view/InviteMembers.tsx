/** Adds users to a room, or creates an invite link. */
import { useState } from "preact/hooks";
import type { UserSummary } from "../api/accounts";
import { runMutation } from "../api/request";
import { AddMembers, CreateInvite } from "../api/roomMutations";
import type { RoomState } from "../state/room";
import { ErrorText } from "./ErrorText";
import { useAction } from "./useAction";
import { UserPicker } from "./UserPicker";

export function InviteMembers({ room }: { room: RoomState }) {
  const [isAdding, setAdding] = useState(false);
  const [users, setUsers] = useState<readonly UserSummary[]>([]);
  const [url, setUrl] = useState<string | null>(null);
  const action = useAction();
  const add = () =>
    action.run(async () => {
      await runMutation(room.client, AddMembers, {
        input: { roomId: room.id, userIds: users.map(({ id }) => id), role: "MEMBER" },
      });
      setUsers([]);
      setAdding(false);
    });
  const createLink = () =>
    action.run(async () => {
      const { invite } = await runMutation(room.client, CreateInvite, { input: { roomId: room.id } });
      setUrl(invite?.url ?? null);
    });
  return (
    <section class="invite" aria-label="Invite people">
      <p>
        <button type="button" onClick={() => setAdding(!isAdding)}>
          Add people
        </button>{" "}
        <button type="button" onClick={createLink} disabled={action.isBusy}>
          Invite by link
        </button>
      </p>
      {isAdding && (
        <>
          <UserPicker chosen={users} onChange={setUsers} />
          <button type="button" class="primary" disabled={users.length === 0 || action.isBusy} onClick={add}>
            Add to the room
          </button>
        </>
      )}
      {url && (
        <label>
          Anyone with this link can join
          <input readOnly value={url} onFocus={({ currentTarget }) => currentTarget.select()} />
        </label>
      )}
      <ErrorText text={action.error} />
    </section>
  );
}
