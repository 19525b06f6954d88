/** The panel with description, invitations, members and settings of a room. */
import { useEffect, useState } from "preact/hooks";
import { runQuery } from "../api/request";
import { Members, type Member } from "../api/rooms";
import type { RoomState } from "../state/room";
import { useStore } from "../store";
import { InviteMembers } from "./InviteMembers";
import { MemberRow } from "./MemberRow";
import { RoomSettings } from "./RoomSettings";

export function MembersPanel({ room }: { room: RoomState }) {
  const details = useStore(room.details);
  const members = useMembers(room);
  const permissions = details?.viewerPermissions;
  return (
    <>
      {details?.description && <p class="description">{details.description}</p>}
      {permissions?.canInvite && details?.kind === "CHANNEL" && <InviteMembers room={room} />}
      <ul class="members" aria-label="Members">
        {members.map((member) => (
          <MemberRow key={member.user.id} member={member} room={room} />
        ))}
      </ul>
      {details?.viewerMembership && <RoomSettings room={room} details={details} />}
    </>
  );
}

/** All members. They are loaded again after each change, because an event does not tell the position in the list. */
function useMembers(room: RoomState): readonly Member[] {
  const [members, setMembers] = useState<readonly Member[]>([]);
  useEffect(() => {
    let isMounted = true;
    const load = async () => {
      const loaded: Member[] = [];
      let after: string | null = null;
      do {
        const answer: { room: MembersPage | null } = await runQuery(room.client, Members, { roomId: room.id, after });
        const page = answer.room?.members;
        loaded.push(...(page?.nodes ?? []));
        after = page?.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
      } while (after && isMounted);
      if (isMounted) setMembers(loaded);
    };
    const reload = () => void load().catch(() => undefined);
    reload();
    const removeListener = room.addListener(({ __typename }) => __typename === "MemberChanged" && reload());
    return () => {
      isMounted = false;
      removeListener();
    };
  }, [room]);
  return members;
}

interface MembersPage {
  members: { nodes: Member[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };
}
