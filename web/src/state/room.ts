/** The open room: who one is in it, its messages, and everything that happens in it until it is left. */
import type { Client } from "@urql/core";
import { RoomEvents, type RoomEvent } from "../api/subscriptions";
import { Messages, OpenRoom, type Message, type OpenRoomResult } from "../api/messages";
import { MarkRead } from "../api/messageMutations";
import { runMutation, runQuery, toRequestError, RequestError, errorMessage } from "../api/request";
import { RoomById, type RoomFields, type RoomViewerFields } from "../api/rooms";
import { RoomSignals } from "./signals";
import { emptyTimeline, reduce, type TimelineAction, type Timeline } from "./timeline";
import { Store } from "../store";
import { ThreadState } from "./thread";

export type RoomDetails = RoomFields & RoomViewerFields;
type Listener = (event: RoomEvent) => void;

const PAGE_SIZE = 50;

/** Why there is nothing to see; `gone` when it will not come back by trying again. */
export interface RoomError {
  text: string;
  isFinal: boolean;
}

export class RoomState {
  readonly details = new Store<RoomDetails | null>(null);
  readonly timeline = new Store<Timeline>(emptyTimeline());
  readonly error = new Store<RoomError | null>(null);
  /** What had been read when the room was opened, or looked away from; null when all had. */
  readonly divider = new Store<number | null>(null);
  /** A message to show, once it is there. */
  readonly target = new Store<{ id: string } | null>(null);
  readonly thread = new Store<ThreadState | null>(null);
  readonly signals: RoomSignals;
  readonly #listeners = new Set<Listener>();
  #unsubscribe: () => void = () => undefined;
  #isClosed = false;
  #lastReadSeq = 0;
  /** The pages that are under way, one after another. Never fails. */
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

  /** Hears every event of the room as it is applied; the returned function ends that. */
  addListener(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  dispatch(action: TimelineAction): void {
    this.timeline.update((timeline) => reduce(timeline, action));
  }

  /** The server's answer to a deed of the viewer's. Its event comes too, and finds nothing left to do. */
  applyMessage(message: Message): void {
    this.dispatch({ type: "messageChanged", message });
    this.thread.value?.dispatch({ type: "messageChanged", message });
  }

  openThread(rootId: string, replyId: string | null = null): void {
    this.thread.set(new ThreadState(this.client, this.id, rootId, this.userId, replyId));
  }

  // ------------------------------------------------------------------ opening

  async #open(messageId: string | null, unread: number): Promise<void> {
    // All that is unread where that is one page: the divider shall stand above it.
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
      if (!room && messageId) return this.#open(null, unread); // the link is to a message that is not there
      if (!room) return this.#endWith("This room does not exist, or it is not yours to see.");
      this.#setRoom(room);
      this.target.set(messageId ? { id: messageId } : null);
      this.#subscribe(room.streamCursor);
    });
  }

  #setRoom(room: OpenRoomResult): void {
    const { messages, ...details } = room;
    this.details.set(details);
    this.timeline.set(reduce(emptyTimeline(), { type: "opened", page: messages, userId: this.userId }));
    const place = room.viewerMembership;
    this.#lastReadSeq = place?.lastReadSeq ?? 0;
    this.divider.set(place && place.unreadCount > 0 ? place.lastReadSeq : null);
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
    if (code === "NOT_FOUND") return this.#endWith("You cannot read this room any more.");
    this.#unsubscribe();
    this.error.set({ text: message, isFinal: !retryable });
  }

  #endWith(text: string): void {
    this.#unsubscribe();
    this.error.set({ text, isFinal: true });
  }

  // ------------------------------------------------------------------ what happens

  #onEvent(event: RoomEvent): void {
    this.dispatch({ type: "event", event, userId: this.userId });
    if (event.__typename === "StreamReady" && !event.recovered) void this.#refetch();
    if (event.__typename === "StreamEnded") this.#endWith(END_REASON_TEXTS[event.reason] ?? "This room has ended.");
    if (event.__typename === "RoomChanged") this.#onRoomChanged(event.room);
    if (event.__typename === "MemberChanged") this.#onMemberChanged(event);
    this.thread.value?.onEvent(event);
    for (const listener of this.#listeners) listener(event);
  }

  #onRoomChanged(details: RoomFields): void {
    this.details.update((known) => known && { ...known, ...details });
    void this.reloadDetails(); // an archived room permits other things
  }

  #onMemberChanged({ change, user }: RoomEvent & { __typename: "MemberChanged" }): void {
    const by = change === "JOINED" ? 1 : change === "LEFT" || change === "REMOVED" ? -1 : 0;
    this.details.update((known) => known && { ...known, memberCount: known.memberCount + by });
    if (user.id === this.userId) void this.reloadDetails();
  }

  /** Part of the log was gone: what is shown may be anything, so it is fetched anew. The stream goes on meanwhile. */
  async #refetch(): Promise<void> {
    await this.#pageLoads;
    this.timeline.set(emptyTimeline());
    await this.jumpToEnd();
    await this.reloadDetails();
  }

  /** What the viewer may do here, asked again. */
  async reloadDetails(): Promise<void> {
    await this.#withErrorReport(async () => {
      const { room } = await runQuery(this.client, RoomById, { roomId: this.id });
      if (room) this.details.set(room);
    });
  }

  // ------------------------------------------------------------------ moving through history

  async loadOlder(): Promise<void> {
    const first = this.timeline.value.rows[0];
    if (!first || !this.timeline.value.hasOlder) return;
    // A row that came live has no cursor: then a page around it, half of which is known.
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

  #queuePage(type: "opened" | "older" | "newer", window: PageWindow): Promise<void> {
    const isBusy = this.timeline.value.eventsDuringLoad !== null;
    if (isBusy && type !== "opened") return this.#pageLoads; // the next scroll asks again
    this.#pageLoads = this.#pageLoads.then(() => this.#loadPage(type, window));
    return this.#pageLoads;
  }

  async #loadPage(type: "opened" | "older" | "newer", window: PageWindow): Promise<void> {
    this.dispatch({ type: "pageRequested" });
    try {
      const { messages } = await runQuery(this.client, Messages, { roomId: this.id, threadRootId: null, ...window });
      this.dispatch({ type, page: messages, userId: this.userId });
    } catch {
      this.dispatch({ type: "pageFailed" });
    }
  }

  // ------------------------------------------------------------------ reading

  /** Everything down to the end has been in front of somebody's eyes. */
  async markRead(): Promise<void> {
    this.dispatch({ type: "seen" });
    const last = this.timeline.value.rows.at(-1);
    if (!last || last.seq <= this.#lastReadSeq || !this.details.value?.viewerMembership) return;
    const before = this.#lastReadSeq;
    this.#lastReadSeq = last.seq;
    try {
      await runMutation(this.client, MarkRead, { input: { roomId: this.id, upToMessageId: last.id } });
    } catch {
      this.#lastReadSeq = before; // tried again with the next look
    }
  }

  /** Nobody looks any more: what comes from now on is new to who returns. */
  moveDividerToEnd(): void {
    if (this.timeline.value.unseenCount === 0) this.divider.set(this.timeline.value.newestSeq);
  }

  async #withErrorReport(doing: () => Promise<void>): Promise<void> {
    try {
      await doing();
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
