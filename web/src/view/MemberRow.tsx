/** A member of a room, with the actions that the viewer may take. */
import { runMutation } from "../api/request";
import { MuteMember, OpenDirectMessage, RemoveMember, SetMemberRole } from "../api/roomMutations";
import type { Member, Role } from "../api/rooms";
import { useChat } from "../state/chat";
import type { RoomState } from "../state/room";
import { navigate } from "../state/route";
import { useStore } from "../store";
import { Avatar } from "./Avatar";
import { ErrorText } from "./ErrorText";
import { PresenceDot } from "./PresenceDot";
import { useAction } from "./useAction";

const ROLE_NAMES: Record<Role, string> = {
  OWNER: "Owner",
  MODERATOR: "Moderator",
  MEMBER: "Member",
  READ_ONLY: "Read-only",
};
const MUTE_SECONDS = 600;

export function MemberRow({ member, room }: { member: Member; room: RoomState }) {
  const { client, userId } = useChat();
  const details = useStore(room.details);
  const action = useAction();
  const { user, role } = member;
  const isMe = user.id === userId;
  const ids = { roomId: room.id, userId: user.id };
  const myRole = details?.viewerMembership?.role;
  const hasLowerRole = myRole === "OWNER" ? role !== "OWNER" : role === "MEMBER" || role === "READ_ONLY";
  const canManage = !isMe && details?.kind === "CHANNEL" && details.viewerPermissions.canManageMembers && hasLowerRole;
  const isMuted = member.mutedUntil !== null && Date.parse(member.mutedUntil) > Date.now();

  const openDirect = () =>
    action.run(async () => {
      const opened = await runMutation(client, OpenDirectMessage, { input: { userIds: [user.id] } });
      if (opened.room) navigate(opened.room.id);
    });
  const setRole = (newRole: Role) =>
    action.run(async () => void (await runMutation(client, SetMemberRole, { input: { ...ids, role: newRole } })));
  const toggleMute = () =>
    action.run(
      async () =>
        void (await runMutation(client, MuteMember, { input: { ...ids, seconds: isMuted ? 0 : MUTE_SECONDS } })),
    );
  const remove = () => action.run(async () => void (await runMutation(client, RemoveMember, { input: ids })));

  return (
    <li class="member">
      <Avatar user={user} />
      <div class="member-name">
        <PresenceDot room={room} userId={user.id} />
        <strong>{user.displayName}</strong> <small>@{user.username}</small>
        {canManage && myRole === "OWNER" ? (
          <select
            aria-label={`Role of ${user.displayName}`}
            value={role}
            onChange={({ currentTarget }) => setRole(currentTarget.value as Role)}
          >
            {Object.entries(ROLE_NAMES).map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        ) : (
          role !== "MEMBER" && <small class="role">{ROLE_NAMES[role]}</small>
        )}
        {isMuted && <small class="role">Muted</small>}
        <span class="member-actions">
          {!isMe && details?.kind === "CHANNEL" && (
            <button type="button" class="link" onClick={openDirect}>
              Message
            </button>
          )}
          {canManage && (
            <>
              <button type="button" class="link" onClick={toggleMute}>
                {isMuted ? "Unmute" : "Mute for 10 minutes"}
              </button>
              <button type="button" class="link danger" aria-label={`Remove ${user.displayName}`} onClick={remove}>
                Remove
              </button>
            </>
          )}
        </span>
        <ErrorText text={action.error} />
      </div>
    </li>
  );
}
