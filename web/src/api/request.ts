/** One way to do things: a mutation's payload, or an exception that says in words why there is none. */
import type { AnyVariables, Client, CombinedError, TypedDocumentNode } from "@urql/core";
import type { FragmentOf } from "gql.tada";
import type { ErrorFields } from "./accounts";

/** A request that is not answered by then is taken for lost; whoever sent it may send it again. */
const REQUEST_TIMEOUT_MS = 20_000;

type UserError = FragmentOf<typeof ErrorFields>;

/** The server said no. `code` is one of the contract's, `retryable` whether the same may succeed later. */
export class RequestError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly retryable: boolean,
  ) {
    super(message);
  }
}

const ERROR_TEXTS: Partial<Record<string, string>> = {
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
  return ERROR_TEXTS[error.code] ?? error.message;
}

/** The server as a whole said no, or nothing at all. */
export function toRequestError(error: CombinedError): RequestError {
  const [graphqlError] = error.graphQLErrors;
  if (!graphqlError) return new RequestError("The server cannot be reached.", "UNREACHABLE", true);
  const { code, retryable } = graphqlError.extensions;
  return new RequestError(graphqlError.message, typeof code === "string" ? code : "INTERNAL", retryable === true);
}

function rejectAfterTimeout(): Promise<never> {
  const error = new RequestError("The server did not answer in time.", "UNREACHABLE", true);
  return new Promise((_, reject) => setTimeout(() => reject(error), REQUEST_TIMEOUT_MS));
}

/** Asks a query anew, past every cache. Raises Refusal. */
export async function runQuery<Data, Variables extends AnyVariables>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const response = client.query(document, variables, { requestPolicy: "network-only" }).toPromise();
  const { data, error } = await Promise.race([response, rejectAfterTimeout()]);
  if (error || !data)
    throw error ? toRequestError(error) : new RequestError("The server sent no answer.", "INTERNAL", true);
  return data;
}

/** Does a mutation of one field; its payload. Raises Refusal. */
export async function runMutation<Payload extends { errors: readonly UserError[] }, Variables extends AnyVariables>(
  client: Client,
  document: TypedDocumentNode<Record<string, Payload>, Variables>,
  variables: Variables,
): Promise<Payload> {
  const { data, error } = await Promise.race([client.mutation(document, variables).toPromise(), rejectAfterTimeout()]);
  const payload = data && Object.values(data)[0];
  if (error || !payload)
    throw error ? toRequestError(error) : new RequestError("The server sent no answer.", "INTERNAL", true);
  const [userError] = payload.errors;
  if (userError) throw new RequestError(wordsFor(userError), userError.code, userError.retryable);
  return payload;
}

/** What to tell people about something caught. */
export function errorMessage(caught: unknown): string {
  return caught instanceof Error ? caught.message : String(caught);
}
