/** The keyboard shortcuts of the page. `HelpDialog.tsx` lists them. */
import { useEffect } from "preact/hooks";
import { useChat } from "../state/chat";
import { badgeCount, type RoomEntry } from "../state/inbox";
import { navigate, route } from "../state/route";
import type { DialogName } from "./Dialogs";

export function useShortcuts(openDialog: (name: DialogName) => void): void {
  const chat = useChat();
  useEffect(() => {
    const goToNeighbour = (by: 1 | -1, onlyUnread: boolean) => {
      const rooms = chat.inbox.rooms.value ?? [];
      const next = findNeighbour(rooms, route.value.roomId, by, (room) => !onlyUnread || badgeCount(room) > 0);
      if (next) navigate(next.id);
    };
    const onKeyDown = (event: KeyboardEvent) => {
      if (document.querySelector("dialog[open]")) return;
      const isWriting = event.target instanceof HTMLTextAreaElement || event.target instanceof HTMLInputElement;
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") openDialog("switcher");
      else if (event.altKey && event.key === "ArrowUp") goToNeighbour(-1, event.shiftKey);
      else if (event.altKey && event.key === "ArrowDown") goToNeighbour(1, event.shiftKey);
      else if (event.key === "?" && !isWriting) openDialog("help");
      else if (event.key === "Escape") void chat.room.value?.markRead();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [chat]);
}

function findNeighbour(
  rooms: readonly RoomEntry[],
  current: string | null,
  step: 1 | -1,
  matches: (room: RoomEntry) => boolean,
): RoomEntry | undefined {
  const index = rooms.findIndex(({ id }) => id === current);
  const order = step === 1 ? rooms.slice(index + 1) : rooms.slice(0, Math.max(index, 0)).reverse();
  return order.find(matches);
}
