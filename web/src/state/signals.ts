/** Presence and typing in the open room. Neither is stored, and a lost signal is not repeated. */
import type { Client } from "@urql/core";
import type { UserSummary } from "../api/accounts";
import { runMutation } from "../api/request";
import { Presence, type PresenceChange, type PresenceState, SetTyping, Typing } from "../api/signals";
import { Store } from "../store";

/** How often "typing" is sent again while the viewer types. On the server it expires after 2.5 times as long. */
const TYPING_REPEAT_MS = 4_000;

export class RoomSignals {
  /** Who is typing, without the viewer. */
  readonly typingUsers = new Store<readonly UserSummary[]>([]);
  /** By user id. Users who are not in the map are offline. */
  readonly presence = new Store<ReadonlyMap<string, PresenceState>>(new Map());
  #typingTimer = 0;
  #typingSentAt = 0;
  readonly #unsubscribe: () => void;

  constructor(
    private readonly client: Client,
    private readonly roomId: string,
    userId: string,
  ) {
    const typing = client.subscription(Typing, { roomId }).subscribe(({ data }) => {
      if (!data) return;
      this.typingUsers.set(data.typing.users.filter(({ id }) => id !== userId));
      clearTimeout(this.#typingTimer);
      this.#typingTimer = window.setTimeout(() => this.typingUsers.set([]), data.typing.expiresInMs);
    });
    const presence = client.subscription(Presence, { roomId }).subscribe(({ data }) => {
      if (data) this.presence.update((known) => applyPresence(known, data.presence));
    });
    this.#unsubscribe = () => {
      typing.unsubscribe();
      presence.unsubscribe();
    };
  }

  close(): void {
    clearTimeout(this.#typingTimer);
    this.#unsubscribe();
  }

  /** The text in the composer has changed. Sends a signal at most once in `TYPING_REPEAT_MS`. */
  onDraftChange(isEmpty: boolean): void {
    const now = Date.now();
    if (isEmpty ? this.#typingSentAt === 0 : now - this.#typingSentAt < TYPING_REPEAT_MS) return;
    this.#typingSentAt = isEmpty ? 0 : now;
    this.#setTyping(!isEmpty);
  }

  /** The server ends "typing" itself when the message arrives. */
  onMessageSent(): void {
    this.#typingSentAt = 0;
  }

  /** Errors are ignored: a lost signal does no harm. */
  #setTyping(typing: boolean): void {
    runMutation(this.client, SetTyping, { input: { roomId: this.roomId, typing } }).catch(() => undefined);
  }
}

function applyPresence(known: ReadonlyMap<string, PresenceState>, { snapshot, users }: PresenceChange) {
  const next = new Map(snapshot ? [] : known);
  for (const { id, presence } of users) {
    if (presence.state === "OFFLINE") next.delete(id);
    else next.set(id, presence.state);
  }
  return next;
}
