/** Finds a room by name: the arrow keys select, Enter opens it. */
import type { TargetedKeyboardEvent } from "preact";
import { useState } from "preact/hooks";
import { useChat } from "../state/chat";
import { badgeCount } from "../state/inbox";
import { navigate } from "../state/route";
import { useStore } from "../store";
import { Dialog } from "./Dialog";
import { roomName } from "./format";
import { RoomIcon } from "./RoomIcon";

const MAX_RESULTS = 12;

export function RoomSwitcher({ onClose }: { onClose(): void }) {
  const rooms = useStore(useChat().inbox.rooms) ?? [];
  const [query, setQuery] = useState("");
  const [selected, setSelected] = useState(0);
  const matches = rooms
    .filter((room) => roomName(room).toLowerCase().includes(query.toLowerCase()))
    .slice(0, MAX_RESULTS);
  const openRoom = (id: string | undefined) => {
    if (!id) return;
    onClose();
    navigate(id);
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLInputElement>) => {
    if (event.key === "ArrowDown") setSelected(Math.min(selected + 1, matches.length - 1));
    else if (event.key === "ArrowUp") setSelected(Math.max(selected - 1, 0));
    else if (event.key === "Enter" && !event.isComposing) openRoom(matches[selected]?.id);
    else return;
    event.preventDefault();
  };
  const changeQuery = (text: string) => {
    setQuery(text);
    setSelected(0);
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
        aria-activedescendant={matches[selected] && `go-${matches[selected].id}`}
        placeholder="Room or person"
        value={query}
        onInput={({ currentTarget }) => changeQuery(currentTarget.value)}
        onKeyDown={onKeyDown}
        autofocus
      />
      <ul class="choices" id="rooms-found" role="listbox" aria-label="Rooms found">
        {matches.map((room, index) => (
          <li
            key={room.id}
            id={`go-${room.id}`}
            role="option"
            aria-selected={index === selected}
            class="choice person"
            onClick={() => openRoom(room.id)}
          >
            <RoomIcon room={room} />
            <strong>{roomName(room)}</strong>
            {badgeCount(room) > 0 && <span class="badge">{badgeCount(room)}</span>}
          </li>
        ))}
      </ul>
      {matches.length === 0 && <p class="empty">No room or person with this name.</p>}
    </Dialog>
  );
}
