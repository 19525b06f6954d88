/** Everything that belongs to a signed-in user: connection, list of rooms, unsent messages, and the open room. */
import type { Client } from "@urql/core";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Me, type UserSummary } from "../api/accounts";
import { type ApiClient, connect } from "../api/client";
import { runQuery } from "../api/request";
import { Store } from "../store";
import { Inbox } from "./inbox";
import { Outbox } from "./outbox";
import { RoomState } from "./room";

export class Chat {
  readonly client: Client;
  readonly connection: ApiClient["connection"];
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  /** The profile of the viewer; null until it is loaded. */
  readonly viewer = new Store<UserSummary | null>(null);
  /** The open room; null while no room is open. */
  readonly room = new Store<RoomState | null>(null);
  readonly #apiClient: ApiClient;

  constructor(readonly userId: string) {
    this.#apiClient = connect();
    this.client = this.#apiClient.client;
    this.connection = this.#apiClient.connection;
    this.inbox = new Inbox(this.client);
    this.outbox = new Outbox(this.client, (roomId, message) => {
      this.inbox.markActive(roomId);
      if (this.room.value?.id === roomId) this.room.value.applyMessage(message);
    });
    // With each connection, because the server may have been unreachable before.
    this.connection.watch(() => this.connection.value === "connected" && void this.#loadViewer());
  }

  async #loadViewer(): Promise<void> {
    if (this.viewer.value) return;
    try {
      const { me } = await runQuery(this.client, Me, {});
      if (me) this.viewer.set(me.user);
    } catch {
      // Only the name and the picture of the viewer are missing. The next connection loads them.
    }
  }

  /** Opens a room, or scrolls to a message if the room is open already. */
  openRoom(roomId: string | null, messageId: string | null = null): void {
    const current = this.room.value;
    if (current && current.id === roomId && !current.error.value) {
      if (messageId) void current.jumpToMessage(messageId);
      return;
    }
    current?.close();
    const unread = this.inbox.rooms.value?.find(({ id }) => id === roomId)?.unread.unreadCount ?? 0;
    this.room.set(roomId ? new RoomState(this.client, roomId, this.userId, messageId, unread) : null);
  }

  close(): void {
    this.room.value?.close();
    this.inbox.close();
    this.#apiClient.close();
  }
}

export const ChatContext = createContext<Chat | null>(null);

export function useChat(): Chat {
  const chat = useContext(ChatContext);
  if (!chat) throw new Error("nobody is signed in");
  return chat;
}
