/** The open room: its details, its messages and its event stream, until the viewer leaves the page of the room. */
import type { Client } from "@urql/core";
import { MarkRead } from "../api/messageMutations";
import { type Message, Messages, OpenRoom, type OpenRoomResult } from "../api/messages";
import { errorMessage, present, RequestError, runMutation, runQuery, toRequestError } from "../api/request";
import { RoomById, type RoomFields, type RoomViewerFields } from "../api/rooms";
import { type RoomEvent, RoomEvents } from "../api/subscriptions";
import { Store } from "../store";
import { RoomSignals } from "./signals";
import { ThreadState } from "./thread";
import { emptyTimeline, type PageKind, reduce, type Timeline, type TimelineAction } from "./timeline";

export type RoomDetails = RoomFields & RoomViewerFields;
type Listener = (event: RoomEvent) => void;

const PAGE_SIZE = 50;

/** Why the room cannot be shown. `isFinal`: a retry does not help. */
export interface RoomError {
  text: string;
  isFinal: boolean;
}

export class RoomState {
  readonly details = new Store<RoomDetails | null>(null);
  readonly timeline = new Store<Timeline>(emptyTimeline());
  readonly error = new Store<RoomError | null>(null);
  /** The seq of the last message above the "New messages" divider; null for no divider. */
  readonly divider = new Store<number | null>(null);
  /** The message to scroll to. An object, so that a second jump to the same message is a change too. */
  readonly target = new Store<{ id: string } | null>(null);
  readonly thread = new Store<ThreadState | null>(null);
  readonly signals: RoomSignals;
  readonly #listeners = new Set<Listener>();
  #unsubscribe: () => void = () => undefined;
  #isClosed = false;
  #lastReadSeq = 0;
  /** The queue of page loads: one runs at a time. Never rejects. */
  #pageLoads: Promise<void> = Promise.resolve();

  constructor(
    readonly client: Client,
    readonly id: string,
    readonly userId: string,
    messageId: string | null,
    unread: number,
  ) {
    this.signals = new RoomSignals(client, id, userId);
    void this.#open(messageId, unread);
  }

  close(): void {
    this.#isClosed = true;
    this.signals.close();
    this.#unsubscribe();
  }

  /** Calls `listener` with each event after it has been applied. Returns a function that removes the listener. */
  addListener(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  dispatch(action: TimelineAction): void {
    this.timeline.update((timeline) => reduce(timeline, action));
  }

  /** Applies the result of the viewer's mutation. The event of the change comes as well and changes nothing then. */
  applyMessage(message: Message): void {
    this.dispatch({ type: "messageChanged", message });
    this.thread.value?.dispatch({ type: "messageChanged", message });
  }

  openThread(rootId: string, replyId: string | null = null): void {
    this.thread.set(new ThreadState(this.client, this.id, rootId, this.userId, replyId));
  }

  // ------------------------------------------------------------------ opening

  async #open(messageId: string | null, unread: number): Promise<void> {
    // Loads all unread messages if they fit into one page (100), so that the divider above them is visible.
    const window = messageId
      ? { around: messageId, first: PAGE_SIZE }
      : { last: Math.min(100, Math.max(PAGE_SIZE, unread + 10)) };
    await this.#withErrorReport(async () => {
      const { room } = await runQuery(this.client, OpenRoom, { roomId: this.id, ...window }).catch(
        (caught: unknown) => {
          if (messageId && isNotFound(caught)) return { room: null };
          throw caught;
        },
      );
      if (this.#isClosed) return;
      if (!room && messageId) return this.#open(null, unread); // the linked message does not exist
      if (!room) return this.#endWith("This room does not exist, or you do not have access to it.");
      this.#setRoom(room);
      this.target.set(messageId ? { id: messageId } : null);
      this.#subscribe(room.streamCursor);
    });
  }

  #setRoom(room: OpenRoomResult): void {
    const { messages, ...details } = room;
    this.details.set(details);
    this.timeline.set(reduce(emptyTimeline(), { type: "opened", page: messages, userId: this.userId }));
    const membership = room.viewerMembership;
    this.#lastReadSeq = membership?.lastReadSeq ?? 0;
    this.divider.set(membership && membership.unreadCount > 0 ? membership.lastReadSeq : null);
  }

  #subscribe(after: string): void {
    const stream = this.client.subscription(RoomEvents, { roomId: this.id, after });
    const { unsubscribe } = stream.subscribe(({ data, error }) => {
      if (data) this.#onEvent(data.roomEvents);
      if (error) this.#onStreamError(toRequestError(error));
    });
    this.#unsubscribe = unsubscribe;
  }

  #onStreamError({ code, message, retryable }: RequestError): void {
    if (code === "NOT_FOUND") return this.#endWith("You no longer have access to this room.");
    this.#unsubscribe();
    this.error.set({ text: message, isFinal: !retryable });
  }

  #endWith(text: string): void {
    this.#unsubscribe();
    this.error.set({ text, isFinal: true });
  }

  // ------------------------------------------------------------------ events

  #onEvent(event: RoomEvent): void {
    this.dispatch({ type: "event", event, userId: this.userId });
    if (event.__typename === "StreamReady" && !event.recovered) void this.#refetch();
    if (event.__typename === "StreamEnded")
      this.#endWith(END_REASON_TEXTS[event.reason] ?? "This room is no longer available.");
    if (event.__typename === "RoomChanged") this.#onRoomChanged(event.room);
    if (event.__typename === "MemberChanged") this.#onMemberChanged(event);
    this.thread.value?.onEvent(event);
    for (const listener of this.#listeners) listener(event);
  }

  #onRoomChanged(details: RoomFields): void {
    this.details.update((known) => known && { ...known, ...details });
    void this.reloadDetails(); // archiving changes the permissions, and events carry no viewer fields
  }

  #onMemberChanged({ change, user }: RoomEvent & { __typename: "MemberChanged" }): void {
    const by = change === "JOINED" ? 1 : change === "LEFT" || change === "REMOVED" ? -1 : 0;
    this.details.update((known) => known && { ...known, memberCount: known.memberCount + by });
    if (user.id === this.userId) void this.reloadDetails();
  }

  /**
   * Loads the newest page again after the server could not replay all missed events. Any shown message may be outdated.
   * The stream goes on meanwhile, and the reducer applies its events to the page.
   */
  async #refetch(): Promise<void> {
    await this.#pageLoads;
    this.timeline.set(emptyTimeline());
    await this.jumpToEnd();
    await this.reloadDetails();
  }

  /** Loads the room's fields and the viewer's membership and permissions again. */
  async reloadDetails(): Promise<void> {
    await this.#withErrorReport(async () => {
      const { room } = await runQuery(this.client, RoomById, { roomId: this.id });
      if (room) this.details.set(room);
    });
  }

  // ------------------------------------------------------------------ pages

  async loadOlder(): Promise<void> {
    const first = this.timeline.value.rows[0];
    if (!first || !this.timeline.value.hasOlder) return;
    // A row from an event has no cursor: then the page around it is loaded, half of which is known.
    await this.#queuePage("older", first.pageCursor ? { last: PAGE_SIZE, before: first.pageCursor } : around(first.id));
  }

  async loadNewer(): Promise<void> {
    const last = this.timeline.value.rows.at(-1);
    if (!last || !this.timeline.value.hasNewer) return;
    await this.#queuePage("newer", last.pageCursor ? { first: PAGE_SIZE, after: last.pageCursor } : around(last.id));
  }

  async jumpToEnd(): Promise<void> {
    await this.#queuePage("opened", { last: PAGE_SIZE });
  }

  async jumpToMessage(id: string): Promise<void> {
    const isHere = this.timeline.value.rows.some((row) => row.id === id);
    if (!isHere) await this.#queuePage("opened", { around: id, first: PAGE_SIZE });
    this.target.set({ id });
  }

  #queuePage(kind: PageKind, window: PageWindow): Promise<void> {
    const isBusy = this.timeline.value.pendingEvents !== null;
    if (isBusy && kind !== "opened") return this.#pageLoads; // the next scroll event asks again
    this.#pageLoads = this.#pageLoads.then(() => this.#loadPage(kind, window));
    return this.#pageLoads;
  }

  async #loadPage(kind: PageKind, window: PageWindow): Promise<void> {
    this.dispatch({ type: "pageRequested" });
    try {
      const { messages } = await runQuery(this.client, Messages, { roomId: this.id, threadRootId: null, ...window });
      this.dispatch({ type: kind, page: present(messages), userId: this.userId });
    } catch {
      this.dispatch({ type: "pageFailed" });
    }
  }

  // ------------------------------------------------------------------ read state

  /** Marks all loaded messages as read: the viewer has seen the end of the list. */
  async markRead(): Promise<void> {
    this.dispatch({ type: "seen" });
    const last = this.timeline.value.rows.at(-1);
    if (!last || last.seq <= this.#lastReadSeq || !this.details.value?.viewerMembership) return;
    const before = this.#lastReadSeq;
    this.#lastReadSeq = last.seq;
    try {
      await runMutation(this.client, MarkRead, { input: { roomId: this.id, upToMessageId: last.id } });
    } catch {
      this.#lastReadSeq = before; // the next call tries again
    }
  }

  /** Called when the page loses the focus: messages that arrive from now on stand below the divider. */
  moveDividerToEnd(): void {
    if (this.timeline.value.unseenCount === 0) this.divider.set(this.timeline.value.newestSeq);
  }

  /** Shows an error of `load`, unless the room is shown already. */
  async #withErrorReport(load: () => Promise<void>): Promise<void> {
    try {
      await load();
    } catch (caught) {
      const isFinal = caught instanceof RequestError && !caught.retryable;
      if (!this.details.value && !this.#isClosed) this.error.set({ text: errorMessage(caught), isFinal });
    }
  }

  retry(): void {
    this.error.set(null);
    void this.#open(null, 0);
  }
}

type PageWindow = { first?: number; last?: number; before?: string; after?: string; around?: string };

function around(id: string): PageWindow {
  return { around: id, first: 2 * PAGE_SIZE };
}

function isNotFound(caught: unknown): boolean {
  return caught instanceof RequestError && caught.code === "NOT_FOUND";
}

const END_REASON_TEXTS: Partial<Record<string, string>> = {
  REMOVED_FROM_ROOM: "You have been removed from this room.",
  ROOM_DELETED: "This room has been deleted.",
  BANNED: "Your account has been banned.",
  SESSION_REVOKED: "You have been signed out.",
};
