/** The panel beside a room: members, pinned messages, search, or a thread. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Conversation } from "../state/conversation";
import type { RoomState } from "../state/room";
import { useStore } from "../store";
import { IconButton } from "./IconButton";
import { MembersPanel } from "./MembersPanel";
import { PinsPanel } from "./PinsPanel";
import { SearchPanel } from "./SearchPanel";
import { ThreadPanel } from "./ThreadPanel";

export type PanelName = "members" | "pins" | "search" | "thread";

interface Props {
  name: PanelName;
  room: RoomState;
  conversation: Conversation;
  onClose(): void;
}

const TITLES: Record<PanelName, string> = {
  members: "Members",
  pins: "Pinned messages",
  search: "Search",
  thread: "Thread",
};

export function Panel({ name, room, onClose }: Props) {
  const thread = useStore(room.thread);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) onClose();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [onClose]);
  return (
    <aside class="panel" aria-label={TITLES[name]}>
      <header>
        <h2>{TITLES[name]}</h2>
        <IconButton icon="close" name={`Close ${TITLES[name].toLowerCase()}`} onClick={onClose} />
      </header>
      <Content>
        {name === "members" && <MembersPanel room={room} />}
        {name === "pins" && <PinsPanel room={room} />}
        {name === "search" && <SearchPanel room={room} />}
        {thread && <ThreadPanel key={thread.rootId} room={room} thread={thread} />}
      </Content>
    </aside>
  );
}

function Content({ children }: { children: ComponentChildren }) {
  return <div class="panel-content">{children}</div>;
}
