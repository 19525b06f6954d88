/** Who is in the open room and who types there: told as well as can be, and forgotten with the room. */
import type { Client } from "@urql/core";
import type { Person } from "../api/accounts";
import { Presence, SayTyping, Typing, type PresenceChange, type PresenceState } from "../api/signals";
import { act } from "../api/refusal";
import { Store } from "../store";

/** Said again this often while somebody goes on writing; the server forgets it after two and a half times as long. */
const TYPING_AGAIN_MS = 4_000;

export class Signals {
  /** Who types, the viewer left out. */
  readonly typists = new Store<readonly Person[]>([]);
  /** Whoever is not in it is away. */
  readonly present = new Store<ReadonlyMap<string, PresenceState>>(new Map());
  #silence = 0;
  #saidAt = 0;
  readonly #stop: () => void;

  constructor(
    private readonly client: Client,
    private readonly roomId: string,
    me: string,
  ) {
    const typing = client.subscription(Typing, { roomId }).subscribe(({ data }) => {
      if (!data) return;
      this.typists.set(data.typing.users.filter(({ id }) => id !== me));
      clearTimeout(this.#silence);
      this.#silence = window.setTimeout(() => this.typists.set([]), data.typing.expiresInMs);
    });
    const presence = client.subscription(Presence, { roomId }).subscribe(({ data }) => {
      if (data) this.present.update((known) => changed(known, data.presence));
    });
    this.#stop = () => {
      typing.unsubscribe();
      presence.unsubscribe();
    };
  }

  close(): void {
    clearTimeout(this.#silence);
    this.#stop();
  }

  /** The viewer has changed what they are writing; at most one word about it in four seconds. */
  writes(isEmpty: boolean): void {
    const now = Date.now();
    if (isEmpty ? this.#saidAt === 0 : now - this.#saidAt < TYPING_AGAIN_MS) return;
    this.#saidAt = isEmpty ? 0 : now;
    this.#say(!isEmpty);
  }

  /** Sending ends it by itself. */
  sent(): void {
    this.#saidAt = 0;
  }

  #say(typing: boolean): void {
    act(this.client, SayTyping, { input: { roomId: this.roomId, typing } }).catch(() => undefined); // only a signal
  }
}

function changed(known: ReadonlyMap<string, PresenceState>, { snapshot, users }: PresenceChange) {
  const next = new Map(snapshot ? [] : known);
  for (const { id, presence } of users) {
    if (presence.state === "OFFLINE") next.delete(id);
    else next.set(id, presence.state);
  }
  return next;
}
