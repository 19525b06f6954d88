/** An open thread: its root and the replies, fed with the events of its room. */
import type { Client } from "@urql/core";
import type { RoomEvent } from "../api/subscriptions";
import { Messages, MessageById } from "../api/messages";
import { runQuery } from "../api/request";
import { emptyTimeline, reduce, type TimelineAction, type Timeline } from "./timeline";
import { Store } from "../store";

const PAGE_SIZE = 50;

export class ThreadState {
  /** A window of one row that never reaches the end, so that it takes in changes and nothing new. */
  readonly root = new Store<Timeline>({ ...emptyTimeline(), hasNewer: true });
  readonly timeline: Store<Timeline>;

  constructor(
    private readonly client: Client,
    private readonly roomId: string,
    readonly rootId: string,
    private readonly userId: string,
    /** The reply to show, once it is there. */
    readonly target: string | null,
  ) {
    this.timeline = new Store(emptyTimeline(rootId));
    void this.load();
  }

  dispatch(action: TimelineAction): void {
    this.root.update((timeline) => reduce(timeline, action));
    this.timeline.update((timeline) => reduce(timeline, action));
  }

  onEvent(event: RoomEvent): void {
    this.dispatch({ type: "event", event, userId: this.userId });
    if (event.__typename === "StreamReady" && !event.recovered) void this.load();
  }

  /** From the beginning, or around the reply that is looked for. */
  async load(): Promise<void> {
    const window = this.target ? { around: this.target, first: PAGE_SIZE } : { last: PAGE_SIZE };
    this.dispatch({ type: "pageRequested" });
    try {
      const [{ message }] = await Promise.all([
        runQuery(this.client, MessageById, { id: this.rootId }),
        this.#loadPage("opened", window),
      ]);
      if (message) this.root.update((timeline) => ({ ...timeline, rows: [message], eventsDuringLoad: null }));
    } catch {
      this.dispatch({ type: "pageFailed" });
    }
  }

  async loadOlder(): Promise<void> {
    const first = this.timeline.value.rows[0];
    if (!first?.pageCursor || this.timeline.value.eventsDuringLoad) return;
    this.timeline.update((timeline) => reduce(timeline, { type: "pageRequested" }));
    await this.#loadPage("older", { last: PAGE_SIZE, before: first.pageCursor }).catch(() =>
      this.dispatch({ type: "pageFailed" }),
    );
  }

  async loadNewer(): Promise<void> {
    const last = this.timeline.value.rows.at(-1);
    if (!last?.pageCursor || this.timeline.value.eventsDuringLoad) return;
    this.timeline.update((timeline) => reduce(timeline, { type: "pageRequested" }));
    await this.#loadPage("newer", { first: PAGE_SIZE, after: last.pageCursor }).catch(() =>
      this.dispatch({ type: "pageFailed" }),
    );
  }

  async #loadPage(type: "opened" | "older" | "newer", window: Record<string, unknown>): Promise<void> {
    const { messages } = await runQuery(this.client, Messages, {
      roomId: this.roomId,
      threadRootId: this.rootId,
      ...window,
    });
    this.timeline.update((timeline) => reduce(timeline, { type, page: messages, userId: this.userId }));
  }
}
