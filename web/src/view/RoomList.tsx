/** The sidebar: the viewer's rooms, buttons for dialogs, and the viewer's profile. */
import { signOut } from "../api/session";
import { useChat } from "../state/chat";
import { badgeCount, type RoomEntry } from "../state/inbox";
import { linkTo, route } from "../state/route";
import { useStore } from "../store";
import { Avatar } from "./Avatar";
import type { DialogName } from "./Dialogs";
import { roomName } from "./format";
import { Icon } from "./Icon";
import { IconButton } from "./IconButton";
import { RoomIcon } from "./RoomIcon";

export function RoomList({ openDialog }: { openDialog(name: DialogName): void }) {
  const chat = useChat();
  const rooms = useStore(chat.inbox.rooms);
  const { roomId } = useStore(route);
  return (
    <nav class="rooms" aria-label="Rooms">
      <header>
        <a class="brand" href="#">
          <img src="/static/icon.svg" alt="" width="26" height="26" />
          roomcast
        </a>
        <IconButton icon="edit" name="New message" onClick={() => openDialog("direct")} />
        <IconButton icon="plus" name="New room" onClick={() => openDialog("room")} />
      </header>
      <button type="button" class="jump" onClick={() => openDialog("switcher")}>
        <Icon name="search" /> Go to… <kbd>Ctrl K</kbd>
      </button>
      {rooms === null ? <Skeleton /> : <RoomLinks rooms={rooms} current={roomId} />}
      <button type="button" class="browse" onClick={() => openDialog("directory")}>
        <Icon name="hash" /> Browse all rooms
      </button>
      <Profile openDialog={openDialog} />
    </nav>
  );
}

function RoomLinks({ rooms, current }: { rooms: readonly RoomEntry[]; current: string | null }) {
  if (rooms.length === 0) return <p class="empty">You have not joined any rooms yet.</p>;
  return (
    <ul>
      {rooms.map((room) => (
        <RoomLink key={room.id} room={room} isCurrent={room.id === current} />
      ))}
    </ul>
  );
}

function RoomLink({ room, isCurrent }: { room: RoomEntry; isCurrent: boolean }) {
  const count = badgeCount(room);
  const isMuted = room.viewerMembership?.notificationLevel === "NONE";
  const mentions = room.unread.mentionCount;
  return (
    <li>
      <a
        href={linkTo(room.id)}
        class={`room-link ${count ? "is-unread" : ""} ${isMuted ? "is-muted" : ""}`}
        aria-current={isCurrent ? "page" : undefined}
      >
        <RoomIcon room={room} />
        <span class="room-name">{roomName(room)}</span>
        {mentions > 0 && (
          <span class="badge mentions" aria-label={`${mentions} ${mentions === 1 ? "mention" : "mentions"}`} role="img">
            @
          </span>
        )}
        {count > 0 && (
          <span class="badge" aria-label={`${count} unread`} role="img">
            {count}
            {room.unread.unreadIsCapped && "+"}
          </span>
        )}
      </a>
    </li>
  );
}

function Profile({ openDialog }: { openDialog(name: DialogName): void }) {
  const chat = useChat();
  const viewer = useStore(chat.viewer);
  return (
    <footer class="profile">
      {viewer && <Avatar user={viewer} />}
      <span class="profile-name">{viewer?.displayName}</span>
      <IconButton icon="more" name="Keyboard and help" onClick={() => openDialog("help")} />
      <button type="button" class="subtle" onClick={() => void signOut(chat.client)}>
        Sign out
      </button>
    </footer>
  );
}

function Skeleton() {
  return (
    <ul aria-hidden="true" class="skeleton">
      {[70, 55, 80, 60].map((width) => (
        <li key={width} class={`skeleton-line w${width}`} />
      ))}
    </ul>
  );
}
