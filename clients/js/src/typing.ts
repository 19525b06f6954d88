/** Who else is typing in a room. Passing signals: nothing is stored, and a lost one is replaced by the next. */
import { SET_TYPING, TYPING, type User } from "./documents.js";
import { keepSubscribed } from "./keep.js";
import type { Roomcast } from "./roomcast.js";
import { Store } from "./store.js";

/** The server forgets a user who is typing after some seconds, so it is told again. */
const REPEAT_MS = 3_000;

export class Typing {
  readonly users = new Store<readonly User[]>([]);
  readonly #end: () => void;
  #expiry: ReturnType<typeof setTimeout> | undefined;
  #toldAt = 0;

  constructor(
    private readonly roomcast: Roomcast,
    private readonly roomId: string,
  ) {
    this.#end = keepSubscribed<{ typing: { users: User[]; expiresInMs: number } }>(
      roomcast.socket.client,
      { query: TYPING, variables: { roomId } },
      ({ typing }) => this.#show(typing.users, typing.expiresInMs),
      () => this.#show([], 0),
    );
  }

  close(): void {
    clearTimeout(this.#expiry);
    this.#end();
  }

  /** Call it with each change of the text. The server is told at most every three seconds. */
  async set(isTyping: boolean): Promise<void> {
    if (isTyping && Date.now() - this.#toldAt < REPEAT_MS) return;
    if (!isTyping && this.#toldAt === 0) return;
    this.#toldAt = isTyping ? Date.now() : 0;
    await this.roomcast.execute(SET_TYPING, { input: { roomId: this.roomId, typing: isTyping } });
  }

  #show(users: readonly User[], expiresInMs: number): void {
    clearTimeout(this.#expiry);
    const others = users.filter(({ id }) => id !== this.roomcast.session.get()?.userId);
    if (others.length > 0) this.#expiry = setTimeout(() => this.users.set([]), expiresInMs);
    this.users.set(others);
  }
}
