/** An open thread: its root message and its replies, updated by the events of the room. */
import type { Client } from "@urql/core";
import { MarkThreadRead } from "../api/messageMutations";
import { MessageById, Messages } from "../api/messages";
import { present, runMutation, runQuery } from "../api/request";
import type { RoomEvent } from "../api/subscriptions";
import { Store } from "../store";
import { emptyTimeline, type PageKind, reduce, type Timeline, type TimelineAction } from "./timeline";

const PAGE_SIZE = 50;

export class ThreadState {
  /** The root message, as a timeline of one row. `hasNewer` keeps the reducer from adding messages to it. */
  readonly root = new Store<Timeline>({ ...emptyTimeline(), hasNewer: true });
  /** The replies. */
  readonly timeline: Store<Timeline>;
  #readSeq = 0;

  constructor(
    private readonly client: Client,
    private readonly roomId: string,
    readonly rootId: string,
    private readonly userId: string,
    /** The reply to show first, or null. */
    readonly target: string | null,
  ) {
    this.timeline = new Store(emptyTimeline(rootId));
    void this.#load();
  }

  dispatch(action: TimelineAction): void {
    this.root.update((root) => reduce(root, action));
    this.#dispatchToReplies(action);
  }

  onEvent(event: RoomEvent): void {
    this.dispatch({ type: "event", event, userId: this.userId });
    if (event.__typename === "StreamReady" && !event.recovered) void this.#load();
  }

  /** Loads the root and the newest replies, or the replies around `target`. */
  async #load(): Promise<void> {
    const window = this.target ? { around: this.target, first: PAGE_SIZE } : { last: PAGE_SIZE };
    this.dispatch({ type: "pageRequested" });
    try {
      const [{ message }] = await Promise.all([
        runQuery(this.client, MessageById, { id: this.rootId }),
        this.#loadPage("opened", window),
      ]);
      if (message) this.root.update((root) => ({ ...root, rows: [message], pendingEvents: null }));
    } catch {
      this.dispatch({ type: "pageFailed" });
    }
  }

  async loadOlder(): Promise<void> {
    const first = this.timeline.value.rows[0];
    if (first?.pageCursor) await this.#loadMore("older", { last: PAGE_SIZE, before: first.pageCursor });
  }

  async loadNewer(): Promise<void> {
    const last = this.timeline.value.rows.at(-1);
    if (last?.pageCursor) await this.#loadMore("newer", { first: PAGE_SIZE, after: last.pageCursor });
  }

  /** Marks all loaded replies as read: the viewer, a member, has seen the end of the list. */
  async markRead(): Promise<void> {
    const last = this.timeline.value.rows.at(-1);
    if (!last || last.seq <= this.#readSeq) return;
    const before = this.#readSeq;
    this.#readSeq = last.seq;
    try {
      await runMutation(this.client, MarkThreadRead, { input: { threadRootId: this.rootId, upToMessageId: last.id } });
    } catch {
      this.#readSeq = before; // the next call tries again
    }
  }

  async #loadMore(kind: PageKind, window: Record<string, unknown>): Promise<void> {
    if (this.timeline.value.pendingEvents) return; // another page is loading
    this.#dispatchToReplies({ type: "pageRequested" });
    await this.#loadPage(kind, window).catch(() => this.dispatch({ type: "pageFailed" }));
  }

  async #loadPage(kind: PageKind, window: Record<string, unknown>): Promise<void> {
    const variables = { roomId: this.roomId, threadRootId: this.rootId, ...window };
    const { messages } = await runQuery(this.client, Messages, variables);
    this.#dispatchToReplies({ type: kind, page: present(messages), userId: this.userId });
  }

  #dispatchToReplies(action: TimelineAction): void {
    this.timeline.update((timeline) => reduce(timeline, action));
  }
}
