/** The panel with description, invitations, members and settings of a room. */
import { loadAllNodes } from "../api/paging";
import { runQuery } from "../api/request";
import { Members } from "../api/rooms";
import type { RoomState } from "../state/room";
import { useStore } from "../store";
import { InviteMembers } from "./InviteMembers";
import { MemberRow } from "./MemberRow";
import { RoomSettings } from "./RoomSettings";
import { useRoomData } from "./useRoomData";

export function MembersPanel({ room }: { room: RoomState }) {
  const details = useStore(room.details);
  // All are loaded again after each change, because events do not contain the position of a member in the list.
  const members = useRoomData(room, ["MemberChanged"], () =>
    loadAllNodes(async (after) => {
      const result = await runQuery(room.client, Members, { roomId: room.id, after });
      return result.room?.members;
    }),
  );
  return (
    <>
      {details?.description && <p class="description">{details.description}</p>}
      {details?.viewerPermissions.canInvite && details.kind === "CHANNEL" && <InviteMembers room={room} />}
      <ul class="members" aria-label="Members">
        {members?.map((member) => (
          <MemberRow key={member.user.id} member={member} room={room} />
        ))}
      </ul>
      {details?.viewerMembership && <RoomSettings room={room} details={details} />}
    </>
  );
}
