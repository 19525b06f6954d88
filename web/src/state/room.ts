/** The open room: who one is in it, its messages, and everything that happens in it until it is left. */
import type { Client } from "@urql/core";
import { RoomEvents, type RoomEvent } from "../api/live";
import { Messages, OpenRoom, type Message, type OpenedRoom } from "../api/messages";
import { MarkRead } from "../api/messageChanges";
import { act, ask, failure, Refusal, said } from "../api/refusal";
import { Place, type RoomFacts, type RoomPlace } from "../api/rooms";
import { Signals } from "./signals";
import { emptyTimeline, reduce, type Action, type Timeline } from "./timeline";
import { Store } from "../store";
import { OpenedThread } from "./thread";

export type Facts = RoomFacts & RoomPlace;
type Listener = (event: RoomEvent) => void;

const PAGE = 50;

/** Why there is nothing to see; `gone` when it will not come back by trying again. */
export interface Trouble {
  words: string;
  gone: boolean;
}

export class OpenedRoomState {
  readonly facts = new Store<Facts | null>(null);
  readonly line = new Store<Timeline>(emptyTimeline());
  readonly trouble = new Store<Trouble | null>(null);
  /** What had been read when the room was opened, or looked away from; null when all had. */
  readonly divider = new Store<number | null>(null);
  /** A message to show, once it is there. */
  readonly target = new Store<{ id: string } | null>(null);
  readonly thread = new Store<OpenedThread | null>(null);
  readonly signals: Signals;
  readonly #listeners = new Set<Listener>();
  #end: () => void = () => undefined;
  #isClosed = false;
  #lastRead = 0;
  /** The pages that are under way, one after another. Never fails. */
  #loading: Promise<void> = Promise.resolve();

  constructor(
    readonly client: Client,
    readonly id: string,
    readonly me: string,
    messageId: string | null,
    unread: number,
  ) {
    this.signals = new Signals(client, id, me);
    void this.#begin(messageId, unread);
  }

  close(): void {
    this.#isClosed = true;
    this.signals.close();
    this.#end();
  }

  /** Hears every event of the room as it is applied; the returned function ends that. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  dispatch(action: Action): void {
    this.line.update((line) => reduce(line, action));
  }

  /** The server's answer to a deed of the viewer's. Its event comes too, and finds nothing left to do. */
  changed(message: Message): void {
    this.dispatch({ type: "changed", message });
    this.thread.value?.dispatch({ type: "changed", message });
  }

  openThread(rootId: string, replyId: string | null = null): void {
    this.thread.set(new OpenedThread(this.client, this.id, rootId, this.me, replyId));
  }

  // ------------------------------------------------------------------ opening

  async #begin(messageId: string | null, unread: number): Promise<void> {
    // All that is unread where that is one page: the divider shall stand above it.
    const window = messageId
      ? { around: messageId, first: PAGE }
      : { last: Math.min(100, Math.max(PAGE, unread + 10)) };
    await this.#guarded(async () => {
      const { room } = await ask(this.client, OpenRoom, { roomId: this.id, ...window }).catch((caught: unknown) => {
        if (messageId && isUnknown(caught)) return { room: null };
        throw caught;
      });
      if (this.#isClosed) return;
      if (!room && messageId) return this.#begin(null, unread); // the link is to a message that is not there
      if (!room) return this.#lose("This room does not exist, or it is not yours to see.");
      this.#show(room);
      this.target.set(messageId ? { id: messageId } : null);
      this.#follow(room.streamCursor);
    });
  }

  #show(room: OpenedRoom): void {
    const { messages, ...facts } = room;
    this.facts.set(facts);
    this.line.set(reduce(emptyTimeline(), { type: "opened", page: messages, me: this.me }));
    const place = room.viewerMembership;
    this.#lastRead = place?.lastReadSeq ?? 0;
    this.divider.set(place && place.unreadCount > 0 ? place.lastReadSeq : null);
  }

  #follow(after: string): void {
    const stream = this.client.subscription(RoomEvents, { roomId: this.id, after });
    const { unsubscribe } = stream.subscribe(({ data, error }) => {
      if (data) this.#take(data.roomEvents);
      if (error) this.#refused(failure(error));
    });
    this.#end = unsubscribe;
  }

  #refused({ code, message, retryable }: Refusal): void {
    if (code === "NOT_FOUND") return this.#lose("You cannot read this room any more.");
    this.#end();
    this.trouble.set({ words: message, gone: !retryable });
  }

  #lose(words: string): void {
    this.#end();
    this.trouble.set({ words, gone: true });
  }

  // ------------------------------------------------------------------ what happens

  #take(event: RoomEvent): void {
    this.dispatch({ type: "event", event, me: this.me });
    if (event.__typename === "StreamReady" && !event.recovered) void this.#refetch();
    if (event.__typename === "StreamEnded") this.#lose(ENDINGS[event.ending] ?? "This room has ended.");
    if (event.__typename === "RoomChanged") this.#changed(event.room);
    if (event.__typename === "MemberChanged") this.#moved(event);
    this.thread.value?.take(event);
    for (const listener of this.#listeners) listener(event);
  }

  #changed(facts: RoomFacts): void {
    this.facts.update((known) => known && { ...known, ...facts });
    void this.look(); // an archived room permits other things
  }

  #moved({ change, user }: RoomEvent & { __typename: "MemberChanged" }): void {
    const by = change === "JOINED" ? 1 : change === "LEFT" || change === "REMOVED" ? -1 : 0;
    this.facts.update((known) => known && { ...known, memberCount: known.memberCount + by });
    if (user.id === this.me) void this.look();
  }

  /** Part of the log was gone: what is shown may be anything, so it is fetched anew. The stream goes on meanwhile. */
  async #refetch(): Promise<void> {
    await this.#loading;
    this.line.set(emptyTimeline());
    await this.toEnd();
    await this.look();
  }

  /** What the viewer may do here, asked again. */
  async look(): Promise<void> {
    await this.#guarded(async () => {
      const { room } = await ask(this.client, Place, { roomId: this.id });
      if (room) this.facts.set(room);
    });
  }

  // ------------------------------------------------------------------ moving through history

  async older(): Promise<void> {
    const first = this.line.value.rows[0];
    if (!first || !this.line.value.hasOlder) return;
    // A row that came live has no cursor: then a page around it, half of which is known.
    await this.#page("older", first.pageCursor ? { last: PAGE, before: first.pageCursor } : around(first.id));
  }

  async newer(): Promise<void> {
    const last = this.line.value.rows.at(-1);
    if (!last || !this.line.value.hasNewer) return;
    await this.#page("newer", last.pageCursor ? { first: PAGE, after: last.pageCursor } : around(last.id));
  }

  async toEnd(): Promise<void> {
    await this.#page("opened", { last: PAGE });
  }

  async toMessage(id: string): Promise<void> {
    const isHere = this.line.value.rows.some((row) => row.id === id);
    if (!isHere) await this.#page("opened", { around: id, first: PAGE });
    this.target.set({ id });
  }

  #page(type: "opened" | "older" | "newer", window: Window): Promise<void> {
    const isBusy = this.line.value.meanwhile !== null;
    if (isBusy && type !== "opened") return this.#loading; // the next scroll asks again
    this.#loading = this.#loading.then(() => this.#load(type, window));
    return this.#loading;
  }

  async #load(type: "opened" | "older" | "newer", window: Window): Promise<void> {
    this.dispatch({ type: "asked" });
    try {
      const { messages } = await ask(this.client, Messages, { roomId: this.id, threadRootId: null, ...window });
      this.dispatch({ type, page: messages, me: this.me });
    } catch {
      this.dispatch({ type: "failed" });
    }
  }

  // ------------------------------------------------------------------ reading

  /** Everything down to the end has been in front of somebody's eyes. */
  async read(): Promise<void> {
    this.dispatch({ type: "looked" });
    const last = this.line.value.rows.at(-1);
    if (!last || last.seq <= this.#lastRead || !this.facts.value?.viewerMembership) return;
    const before = this.#lastRead;
    this.#lastRead = last.seq;
    try {
      await act(this.client, MarkRead, { input: { roomId: this.id, upToMessageId: last.id } });
    } catch {
      this.#lastRead = before; // tried again with the next look
    }
  }

  /** Nobody looks any more: what comes from now on is new to who returns. */
  lookAway(): void {
    if (this.line.value.unseen === 0) this.divider.set(this.line.value.newestSeq);
  }

  async #guarded(doing: () => Promise<void>): Promise<void> {
    try {
      await doing();
    } catch (caught) {
      const gone = caught instanceof Refusal && !caught.retryable;
      if (!this.facts.value && !this.#isClosed) this.trouble.set({ words: said(caught), gone });
    }
  }

  retry(): void {
    this.trouble.set(null);
    void this.#begin(null, 0);
  }
}

type Window = { first?: number; last?: number; before?: string; after?: string; around?: string };

function around(id: string): Window {
  return { around: id, first: 2 * PAGE };
}

function isUnknown(caught: unknown): boolean {
  return caught instanceof Refusal && caught.code === "NOT_FOUND";
}

const ENDINGS: Partial<Record<string, string>> = {
  REMOVED_FROM_ROOM: "You have been removed from this room.",
  ROOM_DELETED: "This room has been deleted.",
  BANNED: "Your account has been banned.",
  SESSION_REVOKED: "You have been signed out.",
};
