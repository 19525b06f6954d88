/** GraphQL over HTTP. */
import {
  connectionLost,
  fromPayload,
  fromResponse,
  RoomcastError,
  type PayloadError,
  type ResponseError,
} from "./errors.js";

export type Variables = Record<string, unknown>;

/** One execution, for at most `timeoutMs`. Throws RoomcastError, also for errors in the payload of a mutation. */
export async function post<Data>(
  url: string,
  query: string,
  variables: Variables,
  token: string | null,
  timeoutMs: number,
): Promise<Data> {
  const headers: Record<string, string> = {
    "content-type": "application/json",
    accept: "application/graphql-response+json",
  };
  if (token !== null) headers["authorization"] = `Bearer ${token}`;
  let response: Response;
  let text: string;
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query, variables }), signal });
    text = await response.text();
  } catch (cause) {
    throw connectionLost(cause);
  }
  return readAnswer<Data>(response.status, text);
}

function readAnswer<Data>(status: number, text: string): Data {
  let answer: { data?: Record<string, unknown> | null; errors?: ResponseError[] };
  try {
    answer = JSON.parse(text) as typeof answer;
    if (typeof answer !== "object" || answer === null) throw new SyntaxError(text);
  } catch {
    // A proxy has answered, and not the server.
    const isRetryable = status === 408 || status === 429 || status >= 500;
    throw new RoomcastError("CONNECTION_LOST", `status ${status}, and no GraphQL answer`, { isRetryable });
  }
  const error = answer.errors?.[0];
  if (error) throw fromResponse(error);
  for (const payload of Object.values(answer.data ?? {})) {
    const refused = (payload as { errors?: PayloadError[] } | null)?.errors?.[0];
    if (refused) throw fromPayload(refused);
  }
  return answer.data as Data;
}
