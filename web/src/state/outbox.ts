/**
 * The outbox: messages that the server has not acknowledged. They are stored in `localStorage`, each under its own key,
 * so that tabs do not overwrite each other. Sending one again is safe: its `clientMessageId` is an idempotency key.
 */
import type { Client } from "@urql/core";
import { SendMessage } from "../api/messageMutations";
import type { Attachment, Message } from "../api/messages";
import { errorMessage, RequestError, runMutation } from "../api/request";
import { Store } from "../store";
import { uuid } from "./uuid";

export type AttachedFile = Pick<Attachment, "id" | "filename" | "contentType" | "byteSize">;

export interface Draft {
  body: string;
  replyTo: Message["replyTo"];
  threadRootId: string | null;
  files: readonly AttachedFile[];
}

export interface UnsentMessage extends Draft {
  /** The `clientMessageId`. The id of the message will be `msg_` and this key. */
  key: string;
  roomId: string;
  createdAt: string;
  /** Why the last attempt failed; null while one is running. The name is part of the stored format. */
  failure: string | null;
}

const KEY_PREFIX = "roomcast.unsent.";

function readStored(): UnsentMessage[] {
  const keys = Object.keys(localStorage).filter((key) => key.startsWith(KEY_PREFIX));
  const found = keys.map((key) => JSON.parse(localStorage.getItem(key) ?? "null") as UnsentMessage);
  return found.sort((one, other) => one.createdAt.localeCompare(other.createdAt));
}

export class Outbox {
  readonly unsent = new Store<readonly UnsentMessage[]>(readStored());

  constructor(
    private readonly client: Client,
    private readonly onSent: (roomId: string, message: Message) => void,
  ) {
    // The page was closed or reloaded while these were being sent, so their outcome is unknown.
    for (const one of this.unsent.value) if (one.failure === null) void this.#deliver(one);
  }

  send(roomId: string, draft: Draft): void {
    void this.#deliver({ ...draft, key: uuid(), roomId, createdAt: new Date().toISOString(), failure: null });
  }

  retry(key: string): void {
    const one = this.unsent.value.find((other) => other.key === key);
    if (one) void this.#deliver({ ...one, failure: null });
  }

  discard(key: string): void {
    localStorage.removeItem(KEY_PREFIX + key);
    this.unsent.update((all) => all.filter((one) => one.key !== key));
  }

  async #deliver(one: UnsentMessage): Promise<void> {
    this.#save(one);
    try {
      const { message } = await runMutation(this.client, SendMessage, { input: toInput(one) });
      if (message) this.onSent(one.roomId, message);
      this.discard(one.key);
    } catch (caught) {
      // The message exists: another tab has sent it with this key.
      if (caught instanceof RequestError && caught.code === "IDEMPOTENCY_KEY_REUSED") return this.discard(one.key);
      const failed = { ...one, failure: errorMessage(caught) };
      // Without an answer the outcome is unknown, so no failure is stored: the page sends the message again after a
      // reload. A reload itself is such a case, because it aborts the request.
      const isOutcomeKnown = caught instanceof RequestError && caught.code !== "UNREACHABLE";
      this.#save(failed, isOutcomeKnown ? failed : one);
    }
  }

  /** Shows `one` and stores `stored` in its place. */
  #save(one: UnsentMessage, stored = one): void {
    localStorage.setItem(KEY_PREFIX + one.key, JSON.stringify(stored));
    this.unsent.update((all) => {
      const isKnown = all.some((other) => other.key === one.key);
      return isKnown ? all.map((other) => (other.key === one.key ? one : other)) : [...all, one];
    });
  }
}

function toInput({ roomId, body, key, replyTo, threadRootId, files }: UnsentMessage) {
  const attachmentIds = files.length ? files.map(({ id }) => id) : null;
  return { roomId, body, clientMessageId: key, replyToId: replyTo?.id ?? null, threadRootId, attachmentIds };
}
