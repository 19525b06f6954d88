/** Going to a room by a few letters of its name: arrows choose, Enter goes. */
import type { TargetedKeyboardEvent } from "preact";
import { useState } from "preact/hooks";
import { useChat } from "../state/chat";
import { badge } from "../state/inbox";
import { go } from "../state/route";
import { useStore } from "../store";
import { Dialog } from "./Dialog";
import { nameOf } from "./names";
import { RoomIcon } from "./RoomIcon";

const MOST = 12;

export function Switcher({ onClose }: { onClose(): void }) {
  const rooms = useStore(useChat().inbox.rooms) ?? [];
  const [words, setWords] = useState("");
  const [at, setAt] = useState(0);
  const found = rooms.filter((room) => nameOf(room).toLowerCase().includes(words.toLowerCase())).slice(0, MOST);
  const visit = (id: string | undefined) => {
    if (!id) return;
    onClose();
    go(id);
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLInputElement>) => {
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, found.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Enter" && !event.isComposing) visit(found[at]?.id);
    else return;
    event.preventDefault();
  };
  const write = (text: string) => {
    setWords(text);
    setAt(0);
  };
  return (
    <Dialog title="Go to…" onClose={onClose}>
      <input
        type="text"
        role="combobox"
        list={undefined}
        aria-label="Room or person"
        aria-expanded="true"
        aria-controls="rooms-found"
        aria-activedescendant={found[at] && `go-${found[at].id}`}
        placeholder="Room or person"
        value={words}
        onInput={({ currentTarget }) => write(currentTarget.value)}
        onKeyDown={onKeyDown}
        autofocus
      />
      <ul class="choices" id="rooms-found" role="listbox" aria-label="Rooms found">
        {found.map((room, index) => (
          <li
            key={room.id}
            id={`go-${room.id}`}
            role="option"
            aria-selected={index === at}
            class="choice person"
            onClick={() => visit(room.id)}
          >
            <RoomIcon room={room} />
            <strong>{nameOf(room)}</strong>
            {badge(room) > 0 && <span class="badge">{badge(room)}</span>}
          </li>
        ))}
      </ul>
      {found.length === 0 && <p class="nothing">None of your rooms is called so.</p>}
    </Dialog>
  );
}
