/** The icon of a room: the other person's avatar for a direct conversation, a lock or a hash sign for a channel. */
import type { RoomEntry } from "../state/inbox";
import { Avatar } from "./Avatar";
import { Icon } from "./Icon";

export function RoomIcon({ room }: { room: Pick<RoomEntry, "kind" | "visibility" | "directPeers"> }) {
  const [peer] = room.directPeers;
  if (room.kind === "DIRECT" && peer) return <Avatar user={peer} />;
  const isPrivate = room.visibility === "PRIVATE";
  return (
    <span class="room-icon" role="img" aria-label={isPrivate ? "Private" : "Public"}>
      <Icon name={isPrivate ? "lock" : "hash"} />
    </span>
  );
}
