/** Everything of one signed-in person: their connection, their rooms, what is not sent yet, and the open room. */
import type { Client } from "@urql/core";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Me, type Person } from "../api/accounts";
import { connect, type Roomcast } from "../api/client";
import { ask } from "../api/refusal";
import { Inbox } from "./inbox";
import { OpenedRoomState } from "./room";
import { Outbox } from "./unsent";
import { Store } from "../store";

export interface Limits {
  maxUploadBytes: number;
  maxMessageLength: number;
}

export class Chat {
  readonly client: Client;
  readonly connection: Roomcast["connection"];
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  readonly me = new Store<Person | null>(null);
  readonly room = new Store<OpenedRoomState | null>(null);
  limits: Limits | null = null;
  readonly #roomcast: Roomcast;

  constructor(readonly userId: string) {
    this.#roomcast = connect();
    this.client = this.#roomcast.client;
    this.connection = this.#roomcast.connection;
    this.inbox = new Inbox(this.client);
    this.outbox = new Outbox(this.client, (roomId, message) => {
      this.inbox.rise(roomId);
      if (this.room.value?.id === roomId) this.room.value.changed(message);
    });
    // Asked again with every connection: the first try may have met a server that was not there yet.
    this.connection.watch(() => this.connection.value === "live" && void this.#introduce());
  }

  async #introduce(): Promise<void> {
    if (this.me.value) return;
    try {
      const { me, serverInfo } = await ask(this.client, Me, {});
      this.limits = serverInfo.limits;
      if (me) this.me.set(me.user);
    } catch {
      // Only names and limits are missing; the next connection brings them.
    }
  }

  /** Opens a room, or shows a message of the open one. */
  open(roomId: string | null, messageId: string | null = null): void {
    const open = this.room.value;
    if (open && open.id === roomId && !open.trouble.value) {
      if (messageId) void open.toMessage(messageId);
      return;
    }
    open?.close();
    const unread = this.inbox.rooms.value?.find(({ id }) => id === roomId)?.unread.unreadCount ?? 0;
    this.room.set(roomId ? new OpenedRoomState(this.client, roomId, this.userId, messageId, unread) : null);
  }

  close(): void {
    this.room.value?.close();
    this.inbox.close();
    this.#roomcast.close();
  }
}

export const ChatContext = createContext<Chat | null>(null);

export function useChat(): Chat {
  const chat = useContext(ChatContext);
  if (!chat) throw new Error("nobody is signed in");
  return chat;
}
