/** The page's keys: everything that can be reached without a mouse, from wherever one is. */
import { useEffect } from "preact/hooks";
import { useChat } from "../state/chat";
import { badge, type RoomEntry } from "../state/inbox";
import { go, route } from "../state/route";
import type { DialogName } from "./Dialogs";

export function useKeys(openDialog: (name: DialogName) => void): void {
  const chat = useChat();
  useEffect(() => {
    const step = (by: 1 | -1, onlyUnread: boolean) => {
      const rooms = chat.inbox.rooms.value ?? [];
      const next = neighbour(rooms, route.value.roomId, by, (room) => !onlyUnread || badge(room) > 0);
      if (next) go(next.id);
    };
    const onKeyDown = (event: KeyboardEvent) => {
      if (document.querySelector("dialog[open]")) return;
      const isWriting = event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLInputElement;
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") openDialog("switcher");
      else if (event.altKey && event.key === "ArrowUp") step(-1, event.shiftKey);
      else if (event.altKey && event.key === "ArrowDown") step(1, event.shiftKey);
      else if (event.key === "?" && !isWriting) openDialog("help");
      else if (event.key === "Escape") void chat.room.value?.read();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [chat]);
}

function neighbour(
  rooms: readonly RoomEntry[],
  current: string | null,
  by: 1 | -1,
  suits: (room: RoomEntry) => boolean,
): RoomEntry | undefined {
  const at = rooms.findIndex(({ id }) => id === current);
  const order = by === 1 ? rooms.slice(at + 1) : rooms.slice(0, Math.max(at, 0)).reverse();
  return order.find(suits);
}
