/** All of one's rooms, the liveliest first, with what is unread in each; kept true by `inboxEvents`. */
import type { Client } from "@urql/core";
import { InboxEvents, type InboxEvent } from "../api/live";
import { ask } from "../api/refusal";
import { MyRooms, type RoomCard } from "../api/rooms";
import { Store } from "../store";

export interface RoomEntry extends RoomCard {
  /** When something last happened, in milliseconds. */
  activeAt: number;
  unread: Unread;
}

interface Unread {
  unreadCount: number;
  unreadIsCapped: boolean;
  mentionCount: number;
}

type Change = Exclude<InboxEvent, { __typename: "InboxSnapshot" }>;
type RoomUnread = Unread & { roomId: string };

const NOTHING: Unread = { unreadCount: 0, unreadIsCapped: false, mentionCount: 0 };

export class Inbox {
  /** Null until they are known. */
  readonly rooms = new Store<readonly RoomEntry[] | null>(null);
  readonly #stop: () => void;
  /** Events since the look under way began: what it brings may be older. Null while none is. */
  #meanwhile: Change[] | null = null;

  constructor(private readonly client: Client) {
    const { unsubscribe } = client.subscription(InboxEvents, {}).subscribe(({ data }) => {
      if (data) this.#take(data.inboxEvents);
    });
    this.#stop = unsubscribe;
  }

  close(): void {
    this.#stop();
  }

  /** Names and topics have no events of their own while the socket is away, so each snapshot is followed by a look. */
  async look(): Promise<void> {
    const meanwhile: Change[] = (this.#meanwhile = []);
    const cards = await this.#cards();
    if (this.#meanwhile !== meanwhile) return; // a later look has begun
    this.#meanwhile = null;
    this.rooms.set(inOrder(cards.map(entry)));
    meanwhile.forEach((event) => this.#apply(event));
  }

  async #cards(): Promise<RoomCard[]> {
    const found: RoomCard[] = [];
    let after: string | null = null;
    do {
      const { rooms }: { rooms: MyRoomsPage } = await ask(this.client, MyRooms, { after });
      found.push(...rooms.nodes);
      after = rooms.pageInfo.hasNextPage ? rooms.pageInfo.endCursor : null;
    } while (after);
    return found;
  }

  /** Something was said there by oneself: the room rises without having become unread. */
  rise(roomId: string): void {
    this.#change(roomId, (room) => ({ ...room, activeAt: Date.now() }));
  }

  #take(event: InboxEvent): void {
    if (event.__typename === "InboxSnapshot") {
      this.rooms.update((rooms) => rooms && rooms.map((room) => withUnread(room, event.rooms)));
      this.look().catch(() => undefined); // the next snapshot, after a reconnect, is the next try
    } else {
      this.#meanwhile?.push(event);
      this.#apply(event);
    }
  }

  #apply(event: Change): void {
    if (event.__typename === "UnreadChanged") {
      this.#change(event.unread.roomId, (room) => risen(room, event.unread));
    } else {
      const { room } = event;
      this.rooms.update((rooms) => rooms && inOrder(replaced(rooms, event.roomId, room && entry(room))));
    }
  }

  #change(roomId: string, change: (room: RoomEntry) => RoomEntry): void {
    this.rooms.update((rooms) => rooms && inOrder(rooms.map((room) => (room.id === roomId ? change(room) : room))));
  }
}

interface MyRoomsPage {
  nodes: RoomCard[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}

function entry(card: RoomCard): RoomEntry {
  const activeAt = Date.parse(card.lastMessage?.createdAt ?? card.createdAt);
  return { ...card, activeAt, unread: card.viewerMembership ?? NOTHING };
}

function withUnread(room: RoomEntry, known: readonly RoomUnread[]): RoomEntry {
  return { ...room, unread: known.find(({ roomId }) => roomId === room.id) ?? NOTHING };
}

function risen(room: RoomEntry, unread: Unread): RoomEntry {
  const more = unread.unreadCount > room.unread.unreadCount || unread.mentionCount > room.unread.mentionCount;
  return { ...room, unread, activeAt: more ? Date.now() : room.activeAt };
}

function replaced(rooms: readonly RoomEntry[], id: string, entry: RoomEntry | null): RoomEntry[] {
  const others = rooms.filter((room) => room.id !== id);
  return entry ? [...others, entry] : others;
}

function inOrder(rooms: readonly RoomEntry[]): RoomEntry[] {
  const rank = (room: RoomEntry) => (room.viewerMembership?.favourite ? 1 : 0);
  return [...rooms].sort((one, other) => rank(other) - rank(one) || other.activeAt - one.activeAt);
}

/** Muted rooms count only where they call the viewer. */
export function totalUnread(rooms: readonly RoomEntry[]): number {
  return rooms.reduce((sum, room) => sum + badge(room), 0);
}

export function badge({ unread, viewerMembership }: RoomEntry): number {
  const level = viewerMembership?.notificationLevel;
  if (level === "NONE") return 0;
  return level === "MENTIONS" ? unread.mentionCount : unread.unreadCount;
}
