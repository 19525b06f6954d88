/** Who is in a room and in which role; adding, inviting, and what moderators may do. */
import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/refusal";
import { Members, type Member } from "../api/rooms";
import type { OpenedRoomState } from "../state/room";
import { useStore } from "../store";
import { InviteLink } from "./InviteLink";
import { MemberRow } from "./MemberRow";
import { RoomSettings } from "./RoomSettings";

export function MembersPanel({ room }: { room: OpenedRoomState }) {
  const facts = useStore(room.facts);
  const members = useMembers(room);
  const may = facts?.viewerPermissions;
  return (
    <>
      {facts?.description && <p class="description">{facts.description}</p>}
      {may?.canInvite && facts?.kind === "CHANNEL" && <InviteLink room={room} />}
      <ul class="members" aria-label="Members">
        {members.map((member) => (
          <MemberRow key={member.user.id} member={member} room={room} />
        ))}
      </ul>
      {facts?.viewerMembership && <RoomSettings room={room} facts={facts} />}
    </>
  );
}

/** All of them, and again after each change: events tell who came, not in which order they stand. */
function useMembers(room: OpenedRoomState): readonly Member[] {
  const [members, setMembers] = useState<readonly Member[]>([]);
  useEffect(() => {
    let isShown = true;
    const look = async () => {
      const found: Member[] = [];
      let after: string | null = null;
      do {
        const answer: { room: MembersPage | null } = await ask(room.client, Members, { roomId: room.id, after });
        const page = answer.room?.members;
        found.push(...(page?.nodes ?? []));
        after = page?.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
      } while (after && isShown);
      if (isShown) setMembers(found);
    };
    const tryTo = () => void look().catch(() => undefined);
    tryTo();
    const stop = room.listen(({ __typename }) => __typename === "MemberChanged" && tryTo());
    return () => {
      isShown = false;
      stop();
    };
  }, [room]);
  return members;
}

interface MembersPage {
  members: { nodes: Member[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } };
}
