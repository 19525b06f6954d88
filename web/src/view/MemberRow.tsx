/** A member: who they are and, for who may, what can be done about them. */
import { act } from "../api/refusal";
import { OpenDirect, MuteMember, RemoveMember, SetRole } from "../api/roomChanges";
import type { Member, Role } from "../api/rooms";
import { useChat } from "../state/chat";
import { go } from "../state/route";
import type { OpenedRoomState } from "../state/room";
import { useStore } from "../store";
import { Avatar } from "./Avatar";
import { PresenceDot } from "./PresenceDot";
import { useDeed } from "./useDeed";

const ROLES: Record<Role, string> = {
  OWNER: "Owner",
  MODERATOR: "Moderator",
  MEMBER: "Member",
  READ_ONLY: "Reads only",
};
const MUTE_SECONDS = 600;

export function MemberRow({ member, room }: { member: Member; room: OpenedRoomState }) {
  const { client, userId } = useChat();
  const facts = useStore(room.facts);
  const deed = useDeed();
  const { user, role } = member;
  const isMe = user.id === userId;
  const about = { roomId: room.id, userId: user.id };
  const mine = facts?.viewerMembership?.role;
  const isBelow = mine === "OWNER" ? role !== "OWNER" : role === "MEMBER" || role === "READ_ONLY";
  const mayRule = !isMe && facts?.kind === "CHANNEL" && facts.viewerPermissions.canManageMembers && isBelow;
  const isMuted = member.mutedUntil !== null && Date.parse(member.mutedUntil) > Date.now();

  const talk = () =>
    deed.run(async () => {
      const opened = await act(client, OpenDirect, { input: { userIds: [user.id] } });
      if (opened.room) go(opened.room.id);
    });
  const setRole = (chosen: Role) =>
    deed.run(async () => void (await act(client, SetRole, { input: { ...about, role: chosen } })));
  const mute = () =>
    deed.run(
      async () => void (await act(client, MuteMember, { input: { ...about, seconds: isMuted ? 0 : MUTE_SECONDS } })),
    );
  const remove = () => deed.run(async () => void (await act(client, RemoveMember, { input: about })));

  return (
    <li class="member">
      <Avatar person={user} />
      <div class="member-name">
        <PresenceDot room={room} userId={user.id} />
        <strong>{user.displayName}</strong> <small>@{user.username}</small>
        {mayRule && mine === "OWNER" ? (
          <select
            aria-label={`Role of ${user.displayName}`}
            value={role}
            onChange={({ currentTarget }) => setRole(currentTarget.value as Role)}
          >
            {Object.entries(ROLES).map(([value, words]) => (
              <option key={value} value={value}>
                {words}
              </option>
            ))}
          </select>
        ) : (
          role !== "MEMBER" && <small class="role">{ROLES[role]}</small>
        )}
        {isMuted && <small class="role">Muted</small>}
        <span class="member-deeds">
          {!isMe && facts?.kind === "CHANNEL" && (
            <button type="button" class="link" onClick={talk}>
              Message
            </button>
          )}
          {mayRule && (
            <>
              <button type="button" class="link" onClick={mute}>
                {isMuted ? "Unmute" : "Mute for 10 minutes"}
              </button>
              <button type="button" class="link danger" aria-label={`Remove ${user.displayName}`} onClick={remove}>
                Remove
              </button>
            </>
          )}
        </span>
        <p class="failure" role="alert">
          {deed.failure}
        </p>
      </div>
    </li>
  );
}
