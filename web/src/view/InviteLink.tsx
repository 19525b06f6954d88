/** Bringing people into a room: by name, or by a link for anybody. */
import { useState } from "preact/hooks";
import type { Person } from "../api/accounts";
import { act } from "../api/refusal";
import { AddMembers, Invite } from "../api/roomChanges";
import type { OpenedRoomState } from "../state/room";
import { PeoplePicker } from "./PeoplePicker";
import { useDeed } from "./useDeed";

export function InviteLink({ room }: { room: OpenedRoomState }) {
  const [isAdding, setAdding] = useState(false);
  const [people, setPeople] = useState<readonly Person[]>([]);
  const [url, setUrl] = useState<string | null>(null);
  const deed = useDeed();
  const add = () =>
    deed.run(async () => {
      await act(room.client, AddMembers, {
        input: { roomId: room.id, userIds: people.map(({ id }) => id), role: "MEMBER" },
      });
      setPeople([]);
      setAdding(false);
    });
  const invite = () =>
    deed.run(async () => setUrl((await act(room.client, Invite, { input: { roomId: room.id } })).url));
  return (
    <section class="invite" aria-label="Bring people in">
      <p>
        <button type="button" onClick={() => setAdding(!isAdding)}>
          Add people
        </button>{" "}
        <button type="button" onClick={invite} disabled={deed.isBusy}>
          Invite by link
        </button>
      </p>
      {isAdding && (
        <>
          <PeoplePicker chosen={people} onChange={setPeople} />
          <button type="button" class="primary" disabled={people.length === 0 || deed.isBusy} onClick={add}>
            Add to the room
          </button>
        </>
      )}
      {url && (
        <label>
          Whoever has this link can come in
          <input readOnly value={url} onFocus={({ currentTarget }) => currentTarget.select()} />
        </label>
      )}
      <p class="failure" role="alert">
        {deed.failure}
      </p>
    </section>
  );
}
