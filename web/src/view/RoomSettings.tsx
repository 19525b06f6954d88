/** One's own place in a room, and the room itself for who may change it. */
import type { TargetedSubmitEvent } from "preact";
import { act } from "../api/refusal";
import { Archive, Leave, Prefer, Unarchive, UpdateRoom } from "../api/roomChanges";
import { go } from "../state/route";
import type { Facts, OpenedRoomState } from "../state/room";
import { useDeed } from "./useDeed";

interface Props {
  room: OpenedRoomState;
  facts: Facts;
}

type Level = NonNullable<Facts["viewerMembership"]>["notificationLevel"];

const LEVELS: Record<Level, string> = { ALL: "All messages", MENTIONS: "Mentions only", NONE: "Nothing" };

export function RoomSettings({ room, facts }: Props) {
  const deed = useDeed();
  const { client, id: roomId } = room;
  const place = facts.viewerMembership;
  const may = facts.viewerPermissions;
  const prefer = (wish: { notificationLevel?: Level; favourite?: boolean }) =>
    deed.run(async () => {
      await act(client, Prefer, { input: { roomId, ...wish } });
      await room.look();
    });
  const leave = () =>
    deed.run(async () => {
      await act(client, Leave, { input: { roomId } });
      go(null);
    });
  const archive = () =>
    deed.run(async () => void (await act(client, facts.archivedAt ? Unarchive : Archive, { input: { roomId } })));

  return (
    <section class="settings" aria-label="This room and you">
      <label>
        Notify me of
        <select
          value={place?.notificationLevel ?? "ALL"}
          onChange={({ currentTarget }) => prefer({ notificationLevel: currentTarget.value as Level })}
        >
          {Object.entries(LEVELS).map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={place?.favourite ?? false}
          onChange={() => prefer({ favourite: !place?.favourite })}
        />
        <span>Keep at the top of my rooms</span>
      </label>
      {may.canEditRoom && !facts.archivedAt && facts.kind === "CHANNEL" && <Naming room={room} facts={facts} />}
      <p class="failure" role="alert">
        {deed.failure}
      </p>
      {facts.kind === "CHANNEL" && (
        <p class="last-deeds">
          {may.canArchive && (
            <button type="button" onClick={archive}>
              {facts.archivedAt ? "Open again" : "Archive room"}
            </button>
          )}{" "}
          <button type="button" class="danger" onClick={leave}>
            Leave room
          </button>
        </p>
      )}
    </section>
  );
}

function Naming({ room, facts }: Props) {
  const deed = useDeed();
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const name = String(given.get("name")).trim();
    const topic = String(given.get("topic")).trim() || null;
    deed.run(async () => void (await act(room.client, UpdateRoom, { input: { roomId: room.id, name, topic } })));
  };
  return (
    <form onSubmit={submit} aria-label="Name and topic">
      <label>
        Name
        <input name="name" defaultValue={facts.name ?? ""} maxLength={80} required autocomplete="off" />
      </label>
      <label>
        Topic
        <input name="topic" defaultValue={facts.topic ?? ""} maxLength={250} autocomplete="off" />
      </label>
      <p class="failure" role="alert">
        {deed.failure}
      </p>
      <button disabled={deed.isBusy}>Save</button>
    </form>
  );
}
