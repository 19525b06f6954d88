/** Who is in the open room and who types there: told as well as can be, and forgotten with the room. */
import type { Client } from "@urql/core";
import type { UserSummary } from "../api/accounts";
import { Presence, SetTyping, Typing, type PresenceChange, type PresenceState } from "../api/signals";
import { runMutation } from "../api/request";
import { Store } from "../store";

/** Said again this often while somebody goes on writing; the server forgets it after two and a half times as long. */
const TYPING_REPEAT_MS = 4_000;

export class RoomSignals {
  /** Who types, the viewer left out. */
  readonly typingUsers = new Store<readonly UserSummary[]>([]);
  /** Whoever is not in it is away. */
  readonly presence = new Store<ReadonlyMap<string, PresenceState>>(new Map());
  #typingTimer = 0;
  #typingSentAt = 0;
  readonly #unsubscribe: () => void;

  constructor(
    private readonly client: Client,
    private readonly roomId: string,
    me: string,
  ) {
    const typing = client.subscription(Typing, { roomId }).subscribe(({ data }) => {
      if (!data) return;
      this.typingUsers.set(data.typing.users.filter(({ id }) => id !== me));
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

  /** The viewer has changed what they are writing; at most one word about it in four seconds. */
  onDraftChange(isEmpty: boolean): void {
    const now = Date.now();
    if (isEmpty ? this.#typingSentAt === 0 : now - this.#typingSentAt < TYPING_REPEAT_MS) return;
    this.#typingSentAt = isEmpty ? 0 : now;
    this.#setTyping(!isEmpty);
  }

  /** Sending ends it by itself. */
  onMessageSent(): void {
    this.#typingSentAt = 0;
  }

  #setTyping(typing: boolean): void {
    runMutation(this.client, SetTyping, { input: { roomId: this.roomId, typing } }).catch(() => undefined); // only a signal
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
