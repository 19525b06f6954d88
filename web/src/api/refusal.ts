/** One way to do things: a mutation's payload, or an exception that says in words why there is none. */
import type { AnyVariables, Client, CombinedError, TypedDocumentNode } from "@urql/core";
import type { FragmentOf } from "gql.tada";
import type { Refused } from "./accounts";

/** A request that is not answered by then is taken for lost; whoever sent it may send it again. */
const PATIENCE_MS = 20_000;

type UserError = FragmentOf<typeof Refused>;

/** The server said no. `code` is one of the contract's, `retryable` whether the same may succeed later. */
export class Refusal extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly retryable: boolean,
  ) {
    super(message);
  }
}

const WORDS: Partial<Record<string, string>> = {
  INVALID_CREDENTIALS: "The name or the password is wrong.",
  USERNAME_TAKEN: "This name is taken.",
  PASSWORD_TOO_WEAK: "Choose a longer or less common password.",
  SIGNUP_CLOSED: "This server takes no new accounts.",
  INVITE_INVALID: "This invitation is not valid (any more).",
  BANNED: "This account is banned.",
  MUTED: "A moderator has muted you here for now.",
  READ_ONLY: "You may only read here.",
  ROOM_ARCHIVED: "This room is archived.",
  MESSAGE_TOO_LONG: "This message is too long.",
  FILE_TOO_LARGE: "This file is too large.",
  NOT_A_MEMBER: "Join the room first.",
};

function wordsFor(error: UserError): string {
  if (error.retryAfterMs) {
    const seconds = Math.ceil(error.retryAfterMs / 1000);
    return `Please wait ${seconds === 1 ? "a second" : `${seconds} seconds`} and try again.`;
  }
  return WORDS[error.code] ?? error.message;
}

/** The server as a whole said no, or nothing at all. */
export function failure(error: CombinedError): Refusal {
  const [first] = error.graphQLErrors;
  if (!first) return new Refusal("The server cannot be reached.", "UNREACHABLE", true);
  const { code, retryable } = first.extensions;
  return new Refusal(first.message, typeof code === "string" ? code : "INTERNAL", retryable === true);
}

function late(): Promise<never> {
  const refusal = new Refusal("The server did not answer in time.", "UNREACHABLE", true);
  return new Promise((_, reject) => setTimeout(() => reject(refusal), PATIENCE_MS));
}

/** Asks a query anew, past every cache. Raises Refusal. */
export async function ask<Data, Variables extends AnyVariables>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const asking = client.query(document, variables, { requestPolicy: "network-only" }).toPromise();
  const { data, error } = await Promise.race([asking, late()]);
  if (error || !data) throw error ? failure(error) : new Refusal("The server sent no answer.", "INTERNAL", true);
  return data;
}

/** Does a mutation of one field; its payload. Raises Refusal. */
export async function act<Payload extends { errors: readonly UserError[] }, Variables extends AnyVariables>(
  client: Client,
  document: TypedDocumentNode<Record<string, Payload>, Variables>,
  variables: Variables,
): Promise<Payload> {
  const { data, error } = await Promise.race([client.mutation(document, variables).toPromise(), late()]);
  const payload = data && Object.values(data)[0];
  if (error || !payload) throw error ? failure(error) : new Refusal("The server sent no answer.", "INTERNAL", true);
  const [refused] = payload.errors;
  if (refused) throw new Refusal(wordsFor(refused), refused.code, refused.retryable);
  return payload;
}

/** What to tell people about something caught. */
export function said(caught: unknown): string {
  return caught instanceof Error ? caught.message : String(caught);
}
