/** The viewer's rooms with their unread counts, sorted by activity. `inboxEvents` keeps them up to date. */
import type { Client } from "@urql/core";
import { loadAllNodes } from "../api/paging";
import { runQuery } from "../api/request";
import { MyRooms, type RoomSummary } from "../api/rooms";
import { type InboxEvent, InboxEvents } from "../api/subscriptions";
import { Store } from "../store";

export interface RoomEntry extends RoomSummary {
  /** When the room was last active, in milliseconds since 1970. */
  activeAt: number;
  unread: Unread;
}

interface Unread {
  unreadCount: number;
  unreadIsCapped: boolean;
  mentionCount: number;
}

type InboxChange = Exclude<InboxEvent, { __typename: "InboxSnapshot" }>;
type RoomUnread = Unread & { roomId: string };

const NO_UNREAD: Unread = { unreadCount: 0, unreadIsCapped: false, mentionCount: 0 };

export class Inbox {
  /** Null until they are loaded. */
  readonly rooms = new Store<readonly RoomEntry[] | null>(null);
  readonly #unsubscribe: () => void;
  /** The events since the running reload began. Its result may be older, so they are applied to it again. Or null. */
  #pendingEvents: InboxChange[] | null = null;

  constructor(private readonly client: Client) {
    const { unsubscribe } = client.subscription(InboxEvents, {}).subscribe(({ data }) => {
      if (data) this.#onEvent(data.inboxEvents);
    });
    this.#unsubscribe = unsubscribe;
  }

  close(): void {
    this.#unsubscribe();
  }

  /** Loads all rooms. Needed after each snapshot: it has unread counts only, and room changes may have been missed. */
  async reload(): Promise<void> {
    const pendingEvents: InboxChange[] = (this.#pendingEvents = []);
    const summaries = await loadAllNodes(async (after) => (await runQuery(this.client, MyRooms, { after })).rooms);
    if (this.#pendingEvents !== pendingEvents) return; // another reload has begun
    this.#pendingEvents = null;
    this.rooms.set(sortRooms(summaries.map(toRoomEntry)));
    pendingEvents.forEach((event) => this.#applyChange(event));
  }

  /** Moves a room up after the viewer has sent a message there. Its unread count does not change. */
  markActive(roomId: string): void {
    this.#updateRoom(roomId, (room) => ({ ...room, activeAt: Date.now() }));
  }

  #onEvent(event: InboxEvent): void {
    if (event.__typename === "InboxSnapshot") {
      this.rooms.update((rooms) => rooms && rooms.map((room) => withSnapshotCounts(room, event.rooms)));
      this.reload().catch(() => undefined); // the snapshot after the next reconnect tries again
    } else {
      this.#pendingEvents?.push(event);
      this.#applyChange(event);
    }
  }

  #applyChange(event: InboxChange): void {
    if (event.__typename === "UnreadChanged") {
      this.#updateRoom(event.unread.roomId, (room) => withUnread(room, event.unread));
    } else if (event.__typename === "RoomListChanged") {
      const { room } = event;
      this.rooms.update((rooms) => rooms && sortRooms(replaceRoom(rooms, event.roomId, room && toRoomEntry(room))));
    }
  }

  #updateRoom(roomId: string, change: (room: RoomEntry) => RoomEntry): void {
    this.rooms.update((rooms) => rooms && sortRooms(rooms.map((room) => (room.id === roomId ? change(room) : room))));
  }
}

function toRoomEntry(summary: RoomSummary): RoomEntry {
  const activeAt = Date.parse(summary.lastMessage?.createdAt ?? summary.createdAt);
  return { ...summary, activeAt, unread: summary.viewerMembership ?? NO_UNREAD };
}

function withSnapshotCounts(room: RoomEntry, counts: readonly RoomUnread[]): RoomEntry {
  return { ...room, unread: counts.find(({ roomId }) => roomId === room.id) ?? NO_UNREAD };
}

function withUnread(room: RoomEntry, unread: Unread): RoomEntry {
  const hasMore = unread.unreadCount > room.unread.unreadCount || unread.mentionCount > room.unread.mentionCount;
  return { ...room, unread, activeAt: hasMore ? Date.now() : room.activeAt };
}

function replaceRoom(rooms: readonly RoomEntry[], id: string, entry: RoomEntry | null): RoomEntry[] {
  const others = rooms.filter((room) => room.id !== id);
  return entry ? [...others, entry] : others;
}

function sortRooms(rooms: readonly RoomEntry[]): RoomEntry[] {
  const rank = (room: RoomEntry) => (room.viewerMembership?.favourite ? 1 : 0);
  return [...rooms].sort((one, other) => rank(other) - rank(one) || other.activeAt - one.activeAt);
}

export function totalUnread(rooms: readonly RoomEntry[]): number {
  return rooms.reduce((sum, room) => sum + badgeCount(room), 0);
}

/** The unread count to show, which depends on the notification level of the room. */
export function badgeCount({ unread, viewerMembership }: RoomEntry): number {
  const level = viewerMembership?.notificationLevel;
  if (level === "NONE") return 0;
  return level === "MENTIONS" ? unread.mentionCount : unread.unreadCount;
}
