/** A place where messages are shown and written: a room, or a thread in it. */
import type { Message } from "../api/messages";
import {
  DeleteMessage,
  EditMessage,
  PinMessage,
  AddReaction,
  UnpinMessage,
  RemoveReaction,
} from "../api/messageMutations";
import { runMutation } from "../api/request";
import type { RoomState } from "./room";
import { Store } from "../store";
import type { Row, Timeline } from "./timeline";

export class Conversation {
  readonly replyTo = new Store<Row | null>(null);
  /** The id of the message whose text is being changed. */
  readonly editing = new Store<string | null>(null);

  constructor(
    readonly room: RoomState,
    readonly threadRootId: string | null,
    readonly timeline: Store<Timeline>,
  ) {}

  /** Drafts are kept under this name. */
  get draftKey(): string {
    return this.threadRootId ?? this.room.id;
  }

  // Each raises Refusal, and shows its outcome at once.

  async edit(messageId: string, body: string): Promise<void> {
    this.#applyResult(await runMutation(this.room.client, EditMessage, { input: { messageId, body } }));
  }

  async remove(messageId: string): Promise<void> {
    this.#applyResult(await runMutation(this.room.client, DeleteMessage, { input: { messageId } }));
  }

  async toggleReaction(row: Row, emoji: string): Promise<void> {
    const hasReacted = row.reactions.some((group) => group.emoji === emoji && group.viewerHasReacted);
    this.#applyResult(
      await runMutation(this.room.client, hasReacted ? RemoveReaction : AddReaction, {
        input: { messageId: row.id, emoji },
      }),
    );
  }

  async togglePin(row: Row): Promise<void> {
    this.#applyResult(
      await runMutation(this.room.client, row.pinnedAt ? UnpinMessage : PinMessage, { input: { messageId: row.id } }),
    );
  }

  #applyResult({ message }: { message: Message | null }): void {
    if (message) this.room.applyMessage(message);
  }
}
