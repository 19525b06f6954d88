/**
 * Messages that the server has not confirmed. They outlive the page, are sent again by themselves, in order for each
 * room, and are stored once: the id of a message is its idempotency key. So two tabs may send the same one.
 */
import type { Message } from "./documents.js";
import { RoomcastError } from "./errors.js";
import { pauseMs, wait } from "./retry.js";
import { keysWithPrefix, readJson, type Storage } from "./storage.js";
import { Store } from "./store.js";
import type { UnsentMessage } from "./timeline.js";

export type Send = (unsent: UnsentMessage) => Promise<Message>;

/** Each message has its own key, so that tabs do not overwrite each other. */
const PREFIX = "roomcast.unsent.";
/** A refusal that ends by itself is waited for up to this long. A longer one, such as a day's mute, is shown. */
const LONGEST_WAIT_MS = 60_000;

export class Outbox {
  readonly unsent = new Store<readonly UnsentMessage[]>([]);
  readonly #busyRooms = new Set<string>();
  readonly #closed = new AbortController();
  #starts = 0;

  constructor(
    private readonly storage: Storage,
    private readonly send: Send,
    private readonly onSent: (roomId: string, message: Message) => void,
  ) {}

  /** Goes on with the messages that this user has left in the storage. Call it when the user has signed in. */
  start(userId: string): void {
    this.#starts += 1;
    const stored = keysWithPrefix(this.storage, PREFIX).map((key) => readJson<UnsentMessage>(this.storage, key));
    const own = stored.filter((one) => one?.userId === userId) as UnsentMessage[];
    this.unsent.set(own.sort((one, other) => one.createdAt.localeCompare(other.createdAt)));
    for (const roomId of new Set(own.map((one) => one.roomId))) void this.#drain(roomId);
  }

  close(): void {
    this.#closed.abort();
  }

  add(unsent: UnsentMessage): void {
    this.storage.setItem(PREFIX + unsent.id, JSON.stringify(unsent));
    this.unsent.set([...this.unsent.get(), unsent]);
    void this.#drain(unsent.roomId);
  }

  /** Sends a refused message again. */
  retry(id: string): void {
    const unsent = this.unsent.get().find((one) => one.id === id);
    if (!unsent) return;
    this.#replace({ ...unsent, failure: null });
    void this.#drain(unsent.roomId);
  }

  /** Gives a refused message up. */
  discard(id: string): void {
    this.storage.removeItem(PREFIX + id);
    this.unsent.set(this.unsent.get().filter((one) => one.id !== id));
  }

  /** Forgets all of them: the user has signed out. */
  clear(): void {
    for (const { id } of this.unsent.get()) this.storage.removeItem(PREFIX + id);
    this.unsent.set([]);
  }

  /** One message of a room at a time: later ones must not overtake it. A refused one does not hold up the others. */
  async #drain(roomId: string): Promise<void> {
    if (this.#busyRooms.has(roomId)) return;
    this.#busyRooms.add(roomId);
    try {
      for (let next = this.#next(roomId); next !== undefined; next = this.#next(roomId)) {
        const starts = this.#starts;
        // Sending has stopped, unless somebody has signed in while it did.
        if (!(await this.#deliver(next)) && this.#starts === starts) return;
      }
    } finally {
      this.#busyRooms.delete(roomId);
    }
  }

  #next(roomId: string): UnsentMessage | undefined {
    return this.unsent.get().find((one) => one.roomId === roomId && one.failure === null);
  }

  /** Resolves to false where sending has to stop for now. */
  async #deliver(unsent: UnsentMessage): Promise<boolean> {
    for (let attempt = 0; !this.#closed.signal.aborted; attempt++) {
      try {
        const message = await this.send(unsent);
        this.onSent(unsent.roomId, message);
        this.discard(unsent.id);
        return true;
      } catch (error) {
        if (!(error instanceof RoomcastError)) throw error;
        const { code, message, isRetryable, retryAfterMs = 0 } = error;
        if (code === "UNAUTHENTICATED") return false; // `start` goes on when the user has signed in again
        if (!isRetryable || retryAfterMs > LONGEST_WAIT_MS) {
          this.#replace({ ...unsent, failure: { code, message } });
          return true;
        }
        await wait(pauseMs(attempt, retryAfterMs), this.#closed.signal);
      }
    }
    return false;
  }

  #replace(unsent: UnsentMessage): void {
    this.storage.setItem(PREFIX + unsent.id, JSON.stringify(unsent));
    this.unsent.set(this.unsent.get().map((one) => (one.id === unsent.id ? unsent : one)));
  }
}
