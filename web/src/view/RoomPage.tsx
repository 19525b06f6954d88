/** The open room: header, messages, composer, and a panel; or the reason why it cannot be shown. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import { Conversation } from "../state/conversation";
import type { RoomState } from "../state/room";
import { navigate } from "../state/route";
import { useStore } from "../store";
import { Composer } from "./Composer";
import { roomName } from "./format";
import { JoinBar } from "./JoinBar";
import { MessageLog } from "./MessageLog";
import { Panel, type PanelName } from "./Panel";
import { RoomHeader } from "./RoomHeader";
import { TypingIndicator } from "./TypingIndicator";

export function RoomPage({ room }: { room: RoomState }) {
  const chat = useChat();
  const details = useStore(room.details);
  const error = useStore(room.error);
  const thread = useStore(room.thread);
  const [panel, setPanel] = useState<PanelName | null>(null);
  const conversation = useMemo(() => new Conversation(room), [room]);
  const openPanel = thread ? "thread" : panel;

  useEffect(() => {
    if (!matchMedia("(hover: hover)").matches) return; // on a phone the focus would open the keyboard
    document.querySelector<HTMLTextAreaElement>(".composer textarea")?.focus();
  }, [room, details !== null]);

  const choosePanel = (name: PanelName | null) => {
    room.thread.set(null);
    setPanel(name === panel && !thread ? null : name);
  };

  if (error) {
    return (
      <main class="lobby">
        <h1>{details ? roomName(details) : "Room not available"}</h1>
        <p role="alert">{error.text}</p>
        {error.isFinal ? (
          <button type="button" onClick={() => navigate(null)}>
            Back to your rooms
          </button>
        ) : (
          <button type="button" onClick={() => room.retry()}>
            Try again
          </button>
        )}
      </main>
    );
  }
  return (
    <>
      <main class="room" aria-label={details ? roomName(details) : "Room"}>
        <RoomHeader room={room} panel={openPanel} choosePanel={choosePanel} />
        <MessageLog conversation={conversation} />
        {details && !details.viewerMembership ? (
          <JoinBar room={room} />
        ) : (
          <>
            <Composer key={room.id} conversation={conversation} outbox={chat.outbox} />
            <TypingIndicator room={room} />
          </>
        )}
      </main>
      {openPanel && (
        <Panel name={openPanel} room={room} conversation={conversation} onClose={() => choosePanel(null)} />
      )}
    </>
  );
}
