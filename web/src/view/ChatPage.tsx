/** The chat: rooms on the left, the open one beside them; the page's title, keys and address. */
import { useEffect, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import { totalUnread } from "../state/inbox";
import { invitation, route } from "../state/route";
import { useStore } from "../store";
import { Banner } from "./Banner";
import { Dialogs, type DialogName } from "./Dialogs";
import { Invited } from "./Invited";
import { Room } from "./Room";
import { RoomList } from "./RoomList";
import { useIdle } from "./useIdle";
import { useKeys } from "./useKeys";

export function ChatPage() {
  const chat = useChat();
  const { roomId, messageId } = useStore(route);
  const room = useStore(chat.room);
  const rooms = useStore(chat.inbox.rooms);
  const [dialog, setDialog] = useState<DialogName | null>(null);
  const [code, setCode] = useState(invitation);
  useKeys(setDialog);
  useIdle();

  useEffect(() => chat.open(roomId, messageId), [chat, roomId, messageId]);

  const unread = totalUnread(rooms ?? []);
  useEffect(() => {
    document.title = unread ? `(${unread}) roomcast` : "roomcast";
    return () => void (document.title = "roomcast");
  }, [unread]);

  return (
    <div class={`chat ${roomId ? "in-room" : ""}`}>
      <Banner />
      <RoomList openDialog={setDialog} />
      {room ? <Room key={room.id} room={room} /> : <Lobby openDialog={setDialog} />}
      {code && <Invited code={code} onClose={() => setCode(null)} />}
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
