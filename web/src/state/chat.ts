/** Everything of one signed-in person: their connection, their rooms, what is not sent yet, and the open room. */
import type { Client } from "@urql/core";
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { Me, type UserSummary } from "../api/accounts";
import { connect, type ApiClient } from "../api/client";
import { runQuery } from "../api/request";
import { Inbox } from "./inbox";
import { RoomState } from "./room";
import { Outbox } from "./outbox";
import { Store } from "../store";

export interface Limits {
  maxUploadBytes: number;
  maxMessageLength: number;
}

export class Chat {
  readonly client: Client;
  readonly connection: ApiClient["connection"];
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  readonly viewer = new Store<UserSummary | null>(null);
  readonly room = new Store<RoomState | null>(null);
  limits: Limits | null = null;
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
    // Asked again with every connection: the first try may have met a server that was not there yet.
    this.connection.watch(() => this.connection.value === "connected" && void this.#loadViewer());
  }

  async #loadViewer(): Promise<void> {
    if (this.viewer.value) return;
    try {
      const { me, serverInfo } = await runQuery(this.client, Me, {});
      this.limits = serverInfo.limits;
      if (me) this.viewer.set(me.user);
    } catch {
      // Only names and limits are missing; the next connection brings them.
    }
  }

  /** Opens a room, or shows a message of the open one. */
  current(roomId: string | null, messageId: string | null = null): void {
    const openRoom = this.room.value;
    if (openRoom && openRoom.id === roomId && !openRoom.error.value) {
      if (messageId) void openRoom.jumpToMessage(messageId);
      return;
    }
    openRoom?.close();
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
