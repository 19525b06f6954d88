/** Queries and mutations as promises: the data, or a RequestError with a text for the viewer. */
import type { AnyVariables, Client, CombinedError, OperationResult, TypedDocumentNode } from "@urql/core";
import type { FragmentOf } from "gql.tada";
import type { Errors } from "./accounts";

/** After this time a request counts as lost. The caller may send it again. */
const REQUEST_TIMEOUT_MS = 20_000;

type UserError = FragmentOf<typeof Errors>["errors"][number];

/**
 * A request failed. `message` is for the viewer. `code` is an error code of the API, or one of this page: `UNREACHABLE`
 * when there is no answer, `ABORTED` for a cancelled upload. `retryable`: the same request may succeed later.
 */
export class RequestError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly retryable: boolean,
  ) {
    super(message);
  }
}

/** Texts for the viewer. The server's own messages are for developers and are shown only for other codes. */
const ERROR_TEXTS: Partial<Record<string, string>> = {
  INVALID_CREDENTIALS: "The name or the password is wrong.",
  USERNAME_TAKEN: "This name is taken.",
  PASSWORD_TOO_WEAK: "Choose a longer or less common password.",
  SIGNUP_CLOSED: "This server does not accept new accounts.",
  INVITE_INVALID: "This invitation is not valid or has expired.",
  BANNED: "This account is banned.",
  MUTED: "A moderator has muted you in this room for some time.",
  READ_ONLY: "You may only read here.",
  ROOM_ARCHIVED: "This room is archived.",
  MESSAGE_TOO_LONG: "This message is too long.",
  FILE_TOO_LARGE: "This file is too large.",
  QUOTA_EXCEEDED:
    "Your storage for files is full. Attach a smaller file, or delete messages with files and wait ten minutes.",
  STORAGE_FULL: "The server has no space left for files. Try again later, or tell its administrator.",
  RESUME_EXPIRED: "You were away too long to receive all messages. Reload the page.",
  NOT_A_MEMBER: "Join the room first.",
};

export function errorText(code: string, serverMessage: string): string {
  return ERROR_TEXTS[code] ?? serverMessage;
}

function payloadError({ code, message, retryable, retryAfterMs }: UserError): RequestError {
  if (!retryAfterMs) return new RequestError(errorText(code, message), code, retryable);
  const seconds = Math.ceil(retryAfterMs / 1000);
  const wait = seconds === 1 ? "a second" : `${seconds} seconds`;
  return new RequestError(`Please wait ${wait} and try again.`, code, retryable);
}

/** From a top-level GraphQL error, or from a network error. */
export function toRequestError(error: CombinedError): RequestError {
  const [graphqlError] = error.graphQLErrors;
  if (!graphqlError) return new RequestError("The server cannot be reached.", "UNREACHABLE", true);
  const { code: given, retryable } = graphqlError.extensions;
  const code = typeof given === "string" ? given : "INTERNAL";
  return new RequestError(errorText(code, graphqlError.message), code, retryable === true);
}

function rejectAfterTimeout(): Promise<never> {
  const error = new RequestError("The server did not answer in time.", "UNREACHABLE", true);
  return new Promise((_, reject) => setTimeout(() => reject(error), REQUEST_TIMEOUT_MS));
}

function noAnswer(): RequestError {
  return new RequestError("The server sent no answer.", "INTERNAL", true);
}

async function dataOf<Data>(response: PromiseLike<OperationResult<Data>>): Promise<Data> {
  const { data, error } = await Promise.race([response, rejectAfterTimeout()]);
  if (error) throw toRequestError(error);
  if (!data) throw noAnswer();
  return data;
}

/** Runs a query without using a cache. Throws RequestError. */
export function runQuery<Data, Variables extends AnyVariables>(
  client: Client,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  return dataOf(client.query(document, variables, { requestPolicy: "network-only" }).toPromise());
}

/** The value of a root field that is null only beside an error, which has been thrown already. */
export function present<Value>(value: Value | null): Value {
  if (value === null) throw noAnswer();
  return value;
}

/** Runs a mutation of one field and returns its payload. Throws RequestError, also for an error in the payload. */
export async function runMutation<Payload extends { errors: readonly UserError[] }, Variables extends AnyVariables>(
  client: Client,
  document: TypedDocumentNode<Record<string, Payload>, Variables>,
  variables: Variables,
): Promise<Payload> {
  const [payload] = Object.values(await dataOf(client.mutation(document, variables).toPromise()));
  if (!payload) throw noAnswer();
  const [userError] = payload.errors;
  if (userError) throw payloadError(userError);
  return payload;
}

/** Calls `onError` with the text of the error if `action` fails, otherwise with an empty text. */
export function reportError(action: Promise<void>, onError: (text: string) => void): Promise<void> {
  return action.then(
    () => onError(""),
    (caught: unknown) => onError(errorMessage(caught)),
  );
}

/** The text to show for anything that was caught. */
export function errorMessage(caught: unknown): string {
  return caught instanceof Error ? caught.message : String(caught);
}
