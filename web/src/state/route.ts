/** The route: the room and the message in the address of the page. */
import { Store } from "../store";

export interface Route {
  roomId: string | null;
  messageId: string | null;
}

/** Parses `#room_…` and `#room_…/msg_…`. Any other address opens no room. */
function parseHash(): Route {
  const [roomId, messageId] = location.hash.slice(1).split("/");
  if (!roomId?.startsWith("room_")) return { roomId: null, messageId: null };
  return { roomId, messageId: messageId?.startsWith("msg_") ? messageId : null };
}

export const route = new Store<Route>(parseHash());
addEventListener("hashchange", () => route.set(parseHash()));

export function linkTo(roomId: string, messageId?: string): string {
  return `#${roomId}${messageId ? `/${messageId}` : ""}`;
}

export function navigate(roomId: string | null, messageId?: string): void {
  location.hash = roomId ? linkTo(roomId, messageId) : "";
}

/** The code in an invitation link: `/?invite=…`. */
export function readInviteCode(): string | null {
  return new URLSearchParams(location.search).get("invite");
}

/** The set-up token in a link that the server logged: `/#setup=…`. The first account of a server needs it. */
export function readSetupToken(): string | null {
  const [name, token] = location.hash.slice(1).split("=");
  return name === "setup" && token ? token : null;
}

/** Removes the invite code from the address, so that a reload does not show the invitation again. */
export function removeInviteCode(): void {
  history.replaceState(null, "", location.pathname + location.hash);
}
