/** The viewer's preferences for a room, and the settings of the room for those who may change them. */
import type { TargetedSubmitEvent } from "preact";
import { runMutation } from "../api/request";
import { ArchiveRoom, LeaveRoom, SetRoomPreferences, UnarchiveRoom, UpdateRoom } from "../api/roomMutations";
import type { RoomDetails, RoomState } from "../state/room";
import { navigate } from "../state/route";
import { ErrorText } from "./ErrorText";
import { useAction } from "./useAction";

interface Props {
  room: RoomState;
  details: RoomDetails;
}

type Level = NonNullable<RoomDetails["viewerMembership"]>["notificationLevel"];

const LEVEL_NAMES: Record<Level, string> = { ALL: "All messages", MENTIONS: "Mentions only", NONE: "Nothing" };

export function RoomSettings({ room, details }: Props) {
  const action = useAction();
  const { client, id: roomId } = room;
  const membership = details.viewerMembership;
  const permissions = details.viewerPermissions;
  const setPreferences = (preferences: { notificationLevel?: Level; favourite?: boolean }) =>
    action.run(async () => {
      await runMutation(client, SetRoomPreferences, { input: { roomId, ...preferences } });
      await room.reloadDetails();
    });
  const leaveRoom = () =>
    action.run(async () => {
      await runMutation(client, LeaveRoom, { input: { roomId } });
      navigate(null);
    });
  const toggleArchived = () =>
    action.run(async () => {
      const variables = { input: { roomId } };
      await (details.archivedAt
        ? runMutation(client, UnarchiveRoom, variables)
        : runMutation(client, ArchiveRoom, variables));
    });

  return (
    <section class="settings" aria-label="Room settings">
      <label>
        Notify me about
        <select
          value={membership?.notificationLevel ?? "ALL"}
          onChange={({ currentTarget }) => setPreferences({ notificationLevel: currentTarget.value as Level })}
        >
          {Object.entries(LEVEL_NAMES).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          checked={membership?.favourite ?? false}
          onChange={() => setPreferences({ favourite: !membership?.favourite })}
        />
        <span>Keep at the top of my rooms</span>
      </label>
      {permissions.canEditRoom && !details.archivedAt && details.kind === "CHANNEL" && (
        <RenameForm room={room} details={details} />
      )}
      <ErrorText text={action.error} />
      {details.kind === "CHANNEL" && (
        <p>
          {permissions.canArchive && (
            <button type="button" onClick={toggleArchived}>
              {details.archivedAt ? "Unarchive room" : "Archive room"}
            </button>
          )}{" "}
          <button type="button" class="danger" onClick={leaveRoom}>
            Leave room
          </button>
        </p>
      )}
    </section>
  );
}

function RenameForm({ room, details }: Props) {
  const action = useAction();
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const name = String(form.get("name")).trim();
    const topic = String(form.get("topic")).trim() || null;
    action.run(
      async () => void (await runMutation(room.client, UpdateRoom, { input: { roomId: room.id, name, topic } })),
    );
  };
  return (
    <form onSubmit={submit} aria-label="Name and topic">
      <label>
        Name
        <input name="name" defaultValue={details.name ?? ""} maxLength={80} required autocomplete="off" />
      </label>
      <label>
        Topic
        <input name="topic" defaultValue={details.topic ?? ""} maxLength={250} autocomplete="off" />
      </label>
      <ErrorText text={action.error} />
      <button disabled={action.isBusy}>Save</button>
    </form>
  );
}
