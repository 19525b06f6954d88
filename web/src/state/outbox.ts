/**
 * What was written and is not known to have arrived. It is kept over reloads, each message under a key of its own so
 * that tabs do not overwrite each other, and may be sent as often as one likes: its id is the idempotency key.
 */
import type { Client } from "@urql/core";
import type { Attachment, Message } from "../api/messages";
import { SendMessage } from "../api/messageMutations";
import { runMutation, RequestError, errorMessage } from "../api/request";
import { uuid } from "./uuid";
import { Store } from "../store";

export type AttachedFile = Pick<Attachment, "id" | "filename" | "contentType" | "byteSize">;

export interface Draft {
  body: string;
  replyTo: Message["replyTo"];
  threadRootId: string | null;
  files: readonly AttachedFile[];
}

export interface UnsentMessage extends Draft {
  /** `msg_` and this is the message's id. */
  key: string;
  roomId: string;
  createdAt: string;
  /** Why the last try failed; null while one is under way. */
  error: string | null;
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
    // A tab that was closed or reloaded in the middle of a send never learned how it went.
    for (const one of this.unsent.value) if (one.error === null) void this.#deliver(one);
  }

  send(roomId: string, draft: Draft): void {
    void this.#deliver({ ...draft, key: uuid(), roomId, createdAt: new Date().toISOString(), error: null });
  }

  retry(key: string): void {
    const one = this.unsent.value.find((other) => other.key === key);
    if (one) void this.#deliver({ ...one, error: null });
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
      // Another tab has been told that this key stands for something already: the message is there.
      if (caught instanceof RequestError && caught.code === "IDEMPOTENCY_KEY_REUSED") return this.discard(one.key);
      const failed = { ...one, failure: errorMessage(caught) };
      // Without an answer nobody knows. What is kept is not the failure then, so that a reload, which itself breaks off
      // what is under way, tries once more.
      const isKnown = caught instanceof RequestError && caught.code !== "UNREACHABLE";
      this.#save(failed, isKnown ? failed : one);
    }
  }

  #save(one: UnsentMessage, kept = one): void {
    localStorage.setItem(KEY_PREFIX + one.key, JSON.stringify(kept));
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
