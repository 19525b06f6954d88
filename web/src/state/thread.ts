/** An open thread: its root and the replies, fed with the events of its room. */
import type { Client } from "@urql/core";
import type { RoomEvent } from "../api/live";
import { Messages, OneMessage } from "../api/messages";
import { ask } from "../api/refusal";
import { emptyTimeline, reduce, type Action, type Timeline } from "./timeline";
import { Store } from "../store";

const PAGE = 50;

export class OpenedThread {
  /** A window of one row that never reaches the end, so that it takes in changes and nothing new. */
  readonly root = new Store<Timeline>({ ...emptyTimeline(), hasNewer: true });
  readonly line: Store<Timeline>;

  constructor(
    private readonly client: Client,
    private readonly roomId: string,
    readonly rootId: string,
    private readonly me: string,
    /** The reply to show, once it is there. */
    readonly target: string | null,
  ) {
    this.line = new Store(emptyTimeline(rootId));
    void this.look();
  }

  dispatch(action: Action): void {
    this.root.update((line) => reduce(line, action));
    this.line.update((line) => reduce(line, action));
  }

  take(event: RoomEvent): void {
    this.dispatch({ type: "event", event, me: this.me });
    if (event.__typename === "StreamReady" && !event.recovered) void this.look();
  }

  /** From the beginning, or around the reply that is looked for. */
  async look(): Promise<void> {
    const window = this.target ? { around: this.target, first: PAGE } : { last: PAGE };
    this.dispatch({ type: "asked" });
    try {
      const [{ message }] = await Promise.all([
        ask(this.client, OneMessage, { id: this.rootId }),
        this.#page("opened", window),
      ]);
      if (message) this.root.update((line) => ({ ...line, rows: [message], meanwhile: null }));
    } catch {
      this.dispatch({ type: "failed" });
    }
  }

  async older(): Promise<void> {
    const first = this.line.value.rows[0];
    if (!first?.pageCursor || this.line.value.meanwhile) return;
    this.line.update((line) => reduce(line, { type: "asked" }));
    await this.#page("older", { last: PAGE, before: first.pageCursor }).catch(() => this.dispatch({ type: "failed" }));
  }

  async newer(): Promise<void> {
    const last = this.line.value.rows.at(-1);
    if (!last?.pageCursor || this.line.value.meanwhile) return;
    this.line.update((line) => reduce(line, { type: "asked" }));
    await this.#page("newer", { first: PAGE, after: last.pageCursor }).catch(() => this.dispatch({ type: "failed" }));
  }

  async #page(type: "opened" | "older" | "newer", window: Record<string, unknown>): Promise<void> {
    const { messages } = await ask(this.client, Messages, {
      roomId: this.roomId,
      threadRootId: this.rootId,
      ...window,
    });
    this.line.update((line) => reduce(line, { type, page: messages, me: this.me }));
  }
}
