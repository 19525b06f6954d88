/** An open room or thread: history, live events, older pages, and messages that are sent once. */
import { MARK_READ, MESSAGES, ROOM_EVENTS, type MessagePage, type RoomEvent } from "./documents.js";
import { fromResponse, RoomcastError, type ResponseError } from "./errors.js";
import type { Roomcast } from "./roomcast.js";
import { pauseMs, wait } from "./retry.js";
import { subscriptionError } from "./socket.js";
import { Store } from "./store.js";
import { emptyTimeline, reduce, type Timeline, type TimelineAction } from "./timeline.js";
import { uuid } from "./uuid.js";

export interface OpenRoomOptions {
  /** The id of the message whose thread is opened. */
  threadRootId?: string;
  /** Messages of a page, up to 100. */
  pageSize?: number;
}

export interface SendOptions {
  replyToId?: string;
  attachmentIds?: readonly string[];
}

type Listener = (event: RoomEvent) => void;

/**
 * `timeline` and `error` fit React's `useSyncExternalStore`. `error` is why the room cannot be shown; a lost connection
 * is none. Close the room when it is not shown any more.
 */
export class OpenRoom {
  readonly timeline: Store<Timeline>;
  readonly error = new Store<RoomcastError | null>(null);
  /** Whether the first page is there. */
  readonly isLoaded = new Store(false);
  readonly #listeners = new Set<Listener>();
  readonly #closed = new AbortController();
  readonly #threadRootId: string | null;
  readonly #pageSize: number;
  #loading: Promise<void> | null = null;
  /** The position of the stream; null when the history has to be loaded first. */
  #after: string | null = null;
  #attempt = 0;
  #markedSeq = 0;

  constructor(
    private readonly roomcast: Roomcast,
    readonly roomId: string,
    { threadRootId, pageSize = 50 }: OpenRoomOptions = {},
  ) {
    this.#threadRootId = threadRootId ?? null;
    this.#pageSize = pageSize;
    this.timeline = new Store(emptyTimeline(this.#threadRootId));
    const showUnsent = () => this.#dispatch({ type: "unsent", unsent: this.#unsent() });
    showUnsent();
    const removeListener = roomcast.outbox.unsent.subscribe(showUnsent);
    const removeRoom = roomcast.onSent(roomId, (message) => this.#dispatch({ type: "message", message }));
    this.#closed.signal.addEventListener("abort", () => (removeListener(), removeRoom()));
    void this.#follow();
  }

  close(): void {
    this.#closed.abort();
  }

  /** Calls the listener with each event, after the timeline has changed. Returns a function that removes it. */
  onEvent(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Shows the message at once, and sends it until the server has it. Returns the id that the message will have. */
  send(body: string, { replyToId, attachmentIds = [] }: SendOptions = {}): string {
    const id = `msg_${uuid()}`;
    const userId = this.roomcast.session.get()?.userId;
    if (userId === undefined) throw new RoomcastError("UNAUTHENTICATED", "There is no session: sign in first.");
    this.roomcast.outbox.add({
      id,
      userId,
      roomId: this.roomId,
      body,
      replyToId: replyToId ?? null,
      threadRootId: this.#threadRootId,
      attachmentIds,
      createdAt: new Date().toISOString(),
      failure: null,
    });
    return id;
  }

  /** Loads the page before the first message. Does nothing at the beginning of the history, or while one is loading. */
  async loadOlder(): Promise<void> {
    this.#loading ??= this.#loadOlder().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #loadOlder(): Promise<void> {
    const { before } = this.timeline.get();
    if (before === null) return;
    this.#dispatch({ type: "pageRequested" });
    try {
      this.#dispatch({ type: "older", page: await this.#page(before), before });
    } catch (error) {
      this.#dispatch({ type: "pageFailed" });
      throw error;
    }
  }

  /** Marks all that is loaded as read. Call it when the user has seen the newest message. */
  async markRead(): Promise<void> {
    const last = this.timeline.get().messages.at(-1);
    if (!last || last.seq <= this.#markedSeq) return;
    const before = this.#markedSeq;
    this.#markedSeq = last.seq;
    try {
      const input = { roomId: this.roomId, upToMessageId: last.id };
      await this.roomcast.execute(MARK_READ, { input }, { isRepeatable: true });
    } catch (error) {
      this.#markedSeq = before;
      throw error;
    }
  }

  // ---------------------------------------------------------------- history, then live

  async #follow(): Promise<void> {
    while (!this.#closed.signal.aborted) {
      let atLeastMs: number | undefined;
      try {
        if (this.#after === null) await this.#loadNewest();
        await this.#read();
        if (this.timeline.get().endReason !== null) return;
      } catch (caught) {
        const error = subscriptionError(caught);
        if (!error.isRetryable) return this.error.set(error);
        atLeastMs = error.retryAfterMs;
      }
      await wait(pauseMs(this.#attempt++, atLeastMs), this.#closed.signal);
    }
  }

  async #loadNewest(): Promise<void> {
    const page = await this.#page(null);
    this.#after = page.streamCursor;
    this.#dispatch({ type: "newest", page });
    this.#dispatch({ type: "unsent", unsent: this.#unsent() });
    this.isLoaded.set(true);
  }

  /** Reads the stream until it ends. `#after` is null then if the history has to be loaded again. */
  async #read(): Promise<void> {
    const payload = { query: ROOM_EVENTS, variables: { roomId: this.roomId, after: this.#after } };
    const results = this.roomcast.socket.client.iterate<{ roomEvents: RoomEvent }>(payload);
    const end = () => void results.return?.();
    this.#closed.signal.addEventListener("abort", end);
    if (this.#closed.signal.aborted) end();
    try {
      for await (const { data, errors } of results) {
        if (errors?.[0]) throw fromResponse(errors[0] as ResponseError);
        if (!data) continue;
        const event = data.roomEvents;
        this.#attempt = 0;
        this.#after = event.cursor;
        if (event.__typename === "StreamReady" && !event.recovered) {
          this.#after = null;
          return;
        }
        this.#dispatch({ type: "event", event });
        for (const listener of [...this.#listeners]) listener(event);
      }
    } finally {
      this.#closed.signal.removeEventListener("abort", end);
      end();
    }
  }

  async #page(before: string | null): Promise<MessagePage> {
    const variables = { roomId: this.roomId, last: this.#pageSize, before, threadRootId: this.#threadRootId };
    const { messages } = await this.roomcast.execute<{ messages: MessagePage }>(MESSAGES, variables, {
      isRepeatable: true,
    });
    return messages;
  }

  #unsent() {
    const all = this.roomcast.outbox.unsent.get();
    return all.filter((one) => one.roomId === this.roomId && one.threadRootId === this.#threadRootId);
  }

  #dispatch(action: TimelineAction): void {
    this.timeline.set(reduce(this.timeline.get(), action));
  }
}
