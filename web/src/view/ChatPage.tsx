/** The chat: list of rooms, the open room, dialogs, document title, and keyboard shortcuts. */
import { useEffect, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import { totalUnread } from "../state/inbox";
import { readInviteCode, route } from "../state/route";
import { useStore } from "../store";
import { ConnectionBanner } from "./ConnectionBanner";
import { type DialogName, Dialogs } from "./Dialogs";
import { InvitationDialog } from "./InvitationDialog";
import { RoomList } from "./RoomList";
import { RoomPage } from "./RoomPage";
import { useIdlePresence } from "./useIdlePresence";
import { useShortcuts } from "./useShortcuts";

export function ChatPage() {
  const chat = useChat();
  const { roomId, messageId } = useStore(route);
  const room = useStore(chat.room);
  const rooms = useStore(chat.inbox.rooms);
  const [dialog, setDialog] = useState<DialogName | null>(null);
  const [inviteCode, setInviteCode] = useState(readInviteCode);
  useShortcuts(setDialog);
  useIdlePresence();

  useEffect(() => chat.openRoom(roomId, messageId), [chat, roomId, messageId]);

  const unread = totalUnread(rooms ?? []);
  useEffect(() => {
    document.title = unread ? `(${unread}) roomcast` : "roomcast";
    return () => void (document.title = "roomcast");
  }, [unread]);

  return (
    <div class={`chat ${roomId ? "in-room" : ""}`}>
      <ConnectionBanner />
      <RoomList openDialog={setDialog} />
      {room ? <RoomPage key={room.id} room={room} /> : <Lobby openDialog={setDialog} />}
      {inviteCode && <InvitationDialog code={inviteCode} onClose={() => setInviteCode(null)} />}
      <Dialogs name={dialog} onClose={() => setDialog(null)} />
    </div>
  );
}

function Lobby({ openDialog }: { openDialog(name: DialogName): void }) {
  return (
    <main class="lobby">
      <h1>Where to?</h1>
      <p>Pick a room, or find one you do not know yet.</p>
      <p>
        <button type="button" class="primary" onClick={() => openDialog("directory")}>
          Browse rooms
        </button>{" "}
        <button type="button" onClick={() => openDialog("room")}>
          Create a room
        </button>
      </p>
    </main>
  );
}
