/** A list of messages with its composer: a room, or a thread in it. Holds what the viewer is replying to or editing. */
import {
  AddReaction,
  DeleteMessage,
  EditMessage,
  PinMessage,
  RemoveReaction,
  UnpinMessage,
} from "../api/messageMutations";
import type { Message } from "../api/messages";
import { runMutation } from "../api/request";
import { Store } from "../store";
import type { RoomState } from "./room";
import type { ThreadState } from "./thread";
import type { Row, Timeline } from "./timeline";

export class Conversation {
  readonly replyTo = new Store<Row | null>(null);
  /** The id of the message that is being edited. */
  readonly editing = new Store<string | null>(null);

  constructor(
    readonly room: RoomState,
    private readonly thread: ThreadState | null = null,
  ) {}

  /** Loads the messages. */
  get source(): RoomState | ThreadState {
    return this.thread ?? this.room;
  }

  get timeline(): Store<Timeline> {
    return this.source.timeline;
  }

  get threadRootId(): string | null {
    return this.thread?.rootId ?? null;
  }

  get draftKey(): string {
    return this.threadRootId ?? this.room.id;
  }

  // Each of these throws RequestError, and shows its result without waiting for the event.

  async edit(messageId: string, body: string): Promise<void> {
    this.#applyResult(await runMutation(this.room.client, EditMessage, { input: { messageId, body } }));
  }

  async remove(messageId: string): Promise<void> {
    this.#applyResult(await runMutation(this.room.client, DeleteMessage, { input: { messageId } }));
  }

  async toggleReaction({ id, reactions }: Row, emoji: string): Promise<void> {
    const hasReacted = reactions.some((group) => group.emoji === emoji && group.viewerHasReacted);
    const { client } = this.room;
    const variables = { input: { messageId: id, emoji } };
    this.#applyResult(
      await (hasReacted ? runMutation(client, RemoveReaction, variables) : runMutation(client, AddReaction, variables)),
    );
  }

  async togglePin({ id, pinnedAt }: Row): Promise<void> {
    const { client } = this.room;
    const variables = { input: { messageId: id } };
    this.#applyResult(
      await (pinnedAt ? runMutation(client, UnpinMessage, variables) : runMutation(client, PinMessage, variables)),
    );
  }

  #applyResult({ message }: { message: Message | null }): void {
    if (message) this.room.applyMessage(message);
  }
}
