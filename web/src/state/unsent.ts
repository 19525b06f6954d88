/**
 * What was written and is not known to have arrived. It is kept over reloads, each message under a key of its own so
 * that tabs do not overwrite each other, and may be sent as often as one likes: its id is the idempotency key.
 */
import type { Client } from "@urql/core";
import type { Attachment, Message } from "../api/messages";
import { Send } from "../api/messageChanges";
import { act, Refusal, said } from "../api/refusal";
import { uuid } from "./identity";
import { Store } from "../store";

export type File = Pick<Attachment, "id" | "filename" | "contentType" | "byteSize">;

export interface Draft {
  body: string;
  replyTo: Message["replyTo"];
  threadRootId: string | null;
  files: readonly File[];
}

export interface Unsent extends Draft {
  /** `msg_` and this is the message's id. */
  key: string;
  roomId: string;
  createdAt: string;
  /** Why the last try failed; null while one is under way. */
  failure: string | null;
}

const PREFIX = "roomcast.unsent.";

function stored(): Unsent[] {
  const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
  const found = keys.map((key) => JSON.parse(localStorage.getItem(key) ?? "null") as Unsent);
  return found.sort((one, other) => one.createdAt.localeCompare(other.createdAt));
}

export class Outbox {
  readonly unsent = new Store<readonly Unsent[]>(stored());

  constructor(
    private readonly client: Client,
    private readonly onSent: (roomId: string, message: Message) => void,
  ) {
    // A tab that was closed or reloaded in the middle of a send never learned how it went.
    for (const one of this.unsent.value) if (one.failure === null) void this.#send(one);
  }

  say(roomId: string, draft: Draft): void {
    void this.#send({ ...draft, key: uuid(), roomId, createdAt: new Date().toISOString(), failure: null });
  }

  retry(key: string): void {
    const one = this.unsent.value.find((other) => other.key === key);
    if (one) void this.#send({ ...one, failure: null });
  }

  drop(key: string): void {
    localStorage.removeItem(PREFIX + key);
    this.unsent.update((all) => all.filter((one) => one.key !== key));
  }

  async #send(one: Unsent): Promise<void> {
    this.#put(one);
    try {
      const { message } = await act(this.client, Send, { input: inputOf(one) });
      if (message) this.onSent(one.roomId, message);
      this.drop(one.key);
    } catch (caught) {
      // Another tab has been told that this key stands for something already: the message is there.
      if (caught instanceof Refusal && caught.code === "IDEMPOTENCY_KEY_REUSED") return this.drop(one.key);
      const failed = { ...one, failure: said(caught) };
      // Without an answer nobody knows. What is kept is not the failure then, so that a reload, which itself breaks off
      // what is under way, tries once more.
      const isKnown = caught instanceof Refusal && caught.code !== "UNREACHABLE";
      this.#put(failed, isKnown ? failed : one);
    }
  }

  #put(one: Unsent, kept = one): void {
    localStorage.setItem(PREFIX + one.key, JSON.stringify(kept));
    this.unsent.update((all) => {
      const isKnown = all.some((other) => other.key === one.key);
      return isKnown ? all.map((other) => (other.key === one.key ? one : other)) : [...all, one];
    });
  }
}

function inputOf({ roomId, body, key, replyTo, threadRootId, files }: Unsent) {
  const attachmentIds = files.length ? files.map(({ id }) => id) : null;
  return { roomId, body, clientMessageId: key, replyToId: replyTo?.id ?? null, threadRootId, attachmentIds };
}
