/** A place where messages are shown and written: a room, or a thread in it. */
import type { Message } from "../api/messages";
import { Delete, Edit, Pin, React, Unpin, Unreact } from "../api/messageChanges";
import { act } from "../api/refusal";
import type { OpenedRoomState } from "./room";
import { Store } from "../store";
import type { Row, Timeline } from "./timeline";

export class Conversation {
  readonly replyTo = new Store<Row | null>(null);
  /** The id of the message whose text is being changed. */
  readonly editing = new Store<string | null>(null);

  constructor(
    readonly room: OpenedRoomState,
    readonly threadRootId: string | null,
    readonly line: Store<Timeline>,
  ) {}

  /** Drafts are kept under this name. */
  get place(): string {
    return this.threadRootId ?? this.room.id;
  }

  // Each raises Refusal, and shows its outcome at once.

  async edit(messageId: string, body: string): Promise<void> {
    this.#show(await act(this.room.client, Edit, { input: { messageId, body } }));
  }

  async remove(messageId: string): Promise<void> {
    this.#show(await act(this.room.client, Delete, { input: { messageId } }));
  }

  async toggleReaction(row: Row, emoji: string): Promise<void> {
    const mine = row.reactions.some((group) => group.emoji === emoji && group.viewerHasReacted);
    this.#show(await act(this.room.client, mine ? Unreact : React, { input: { messageId: row.id, emoji } }));
  }

  async togglePin(row: Row): Promise<void> {
    this.#show(await act(this.room.client, row.pinnedAt ? Unpin : Pin, { input: { messageId: row.id } }));
  }

  #show({ message }: { message: Message | null }): void {
    if (message) this.room.changed(message);
  }
}
