/** The open room: what it is, what is said in it, where to say something, and a panel beside it. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import { Conversation } from "../state/conversation";
import { go } from "../state/route";
import type { OpenedRoomState } from "../state/room";
import { useStore } from "../store";
import { Composer } from "./Composer";
import { Join } from "./Join";
import { MessageLog } from "./MessageLog";
import { nameOf } from "./names";
import { Panel, type PanelName } from "./Panel";
import { RoomHeader } from "./RoomHeader";
import { TypingLine } from "./TypingLine";

export function Room({ room }: { room: OpenedRoomState }) {
  const chat = useChat();
  const facts = useStore(room.facts);
  const trouble = useStore(room.trouble);
  const thread = useStore(room.thread);
  const [panel, setPanel] = useState<PanelName | null>(null);
  const conversation = useMemo(() => new Conversation(room, null, room.line), [room]);
  const shown = thread ? "thread" : panel;

  useEffect(() => {
    if (!matchMedia("(hover: hover)").matches) return; // on a phone it would bring up the keyboard
    document.querySelector<HTMLTextAreaElement>(".composer textarea")?.focus();
  }, [room, facts !== null]);

  const choose = (name: PanelName | null) => {
    room.thread.set(null);
    setPanel(name === panel && !thread ? null : name);
  };

  if (trouble) {
    return (
      <main class="lobby">
        <h1>{facts ? nameOf(facts) : "No such room"}</h1>
        <p role="alert">{trouble.words}</p>
        {trouble.gone ? (
          <button type="button" onClick={() => go(null)}>
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
      <main class="room" aria-label={facts ? nameOf(facts) : "Room"}>
        <RoomHeader room={room} panel={shown} choosePanel={choose} />
        <MessageLog conversation={conversation} />
        {facts && !facts.viewerMembership ? (
          <Join room={room} />
        ) : (
          <>
            <Composer key={room.id} conversation={conversation} outbox={chat.outbox} />
            <TypingLine room={room} />
          </>
        )}
      </main>
      {shown && <Panel name={shown} room={room} conversation={conversation} onClose={() => choose(null)} />}
    </>
  );
}
