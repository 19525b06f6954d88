/** The rooms of the user with their unread counts, the most recently active first. */
import { INBOX_EVENTS, type InboxEvent, type RoomSummary, type RoomUnread } from "./documents.js";
import { keepSubscribed } from "./keep.js";
import type { Roomcast } from "./roomcast.js";
import { pauseMs, wait } from "./retry.js";
import { Store } from "./store.js";

type Change = Exclude<InboxEvent, { __typename: "InboxSnapshot" }>;

export class RoomList {
  /** Null until they are loaded. */
  readonly rooms = new Store<readonly RoomSummary[] | null>(null);
  readonly #end: () => void;
  readonly #closed = new AbortController();
  /** The changes since the running load began: its result may be older. Null while nothing is being loaded. */
  #changesSinceLoad: Change[] | null = null;

  constructor(private readonly roomcast: Roomcast) {
    this.#end = keepSubscribed<{ inboxEvents: InboxEvent }>(
      roomcast.socket.client,
      { query: INBOX_EVENTS },
      ({ inboxEvents }) => this.#onEvent(inboxEvents),
      () => undefined, // the session has ended: `Roomcast.session` says so
    );
  }

  close(): void {
    this.#closed.abort();
    this.#end();
  }

  /** Each connection begins with a snapshot. Rooms may have come and gone before it, so all are loaded again. */
  #onEvent(event: InboxEvent): void {
    if (event.__typename === "InboxSnapshot") return void this.#load();
    this.#changesSinceLoad?.push(event);
    this.#apply(event);
  }

  async #load(): Promise<void> {
    const changes: Change[] = (this.#changesSinceLoad = []);
    const isOver = () => this.#closed.signal.aborted || this.#changesSinceLoad !== changes; // another one has begun
    for (let attempt = 0; !isOver(); attempt++) {
      try {
        const rooms = await this.roomcast.rooms();
        if (isOver()) return;
        this.#changesSinceLoad = null;
        this.rooms.set(sorted(rooms));
        for (const change of changes) this.#apply(change);
        return;
      } catch {
        if (this.roomcast.session.get() === null) return;
        await wait(pauseMs(attempt), this.#closed.signal);
      }
    }
  }

  #apply(change: Change): void {
    const rooms = this.rooms.get();
    if (rooms === null) return;
    if (change.__typename === "UnreadChanged") {
      this.rooms.set(sorted(rooms.map((room) => withUnread(room, change.unread))));
    } else if (change.__typename === "RoomListChanged") {
      const others = rooms.filter(({ id }) => id !== change.roomId);
      this.rooms.set(sorted(change.room ? [...others, change.room] : others));
    }
  }
}

/** A higher count means that something was said just now. */
function withUnread(room: RoomSummary, { roomId, unreadCount, mentionCount, lastReadSeq }: RoomUnread): RoomSummary {
  if (room.id !== roomId) return room;
  const isActive = unreadCount > (room.viewerMembership?.unreadCount ?? 0);
  const lastActivityAt = isActive ? new Date().toISOString() : room.lastActivityAt;
  return { ...room, lastActivityAt, viewerMembership: { unreadCount, mentionCount, lastReadSeq } };
}

function sorted(rooms: readonly RoomSummary[]): RoomSummary[] {
  return [...rooms].sort((one, other) => Date.parse(other.lastActivityAt) - Date.parse(one.lastActivityAt));
}
