/** Errors of the server and of the connection. */

export interface ErrorDetails {
  isRetryable?: boolean;
  retryAfterMs?: number | undefined;
  path?: readonly string[];
  requestId?: string | undefined;
}

/**
 * The server has refused a request, or did not answer. Decide by `code`: the codes are those of the server's
 * `docs/errors.md`, and `CONNECTION_LOST` when no answer came. The message is for developers.
 */
export class RoomcastError extends Error {
  override readonly name = "RoomcastError";
  /** The same request may succeed later, with the same keys. */
  readonly isRetryable: boolean;
  /** When to repeat it, if the server has said so. */
  readonly retryAfterMs: number | undefined;
  /** The argument at fault. */
  readonly path: readonly string[];
  /** Finds the request in the log of the server. */
  readonly requestId: string | undefined;

  constructor(
    readonly code: string,
    message: string,
    { isRetryable = false, retryAfterMs, path = [], requestId }: ErrorDetails = {},
  ) {
    super(message);
    this.isRetryable = isRetryable;
    this.retryAfterMs = retryAfterMs;
    this.path = path;
    this.requestId = requestId;
  }
}

/** An entry of `errors` in the payload of a mutation. */
export interface PayloadError {
  code: string;
  message: string;
  retryable: boolean;
  retryAfterMs?: number | null;
  path?: readonly string[] | null;
}

/** An entry of the top-level `errors` of a response. */
export interface ResponseError {
  message: string;
  extensions?: Record<string, unknown>;
}

export function fromPayload({ code, message, retryable, retryAfterMs, path }: PayloadError): RoomcastError {
  return new RoomcastError(code, message, {
    isRetryable: retryable,
    retryAfterMs: retryAfterMs ?? undefined,
    path: path ?? [],
  });
}

export function fromResponse({ message, extensions = {} }: ResponseError): RoomcastError {
  const { code, retryable, retryAfterMs, argumentPath, requestId } = extensions;
  return new RoomcastError(typeof code === "string" ? code : "UNKNOWN", message, {
    isRetryable: retryable === true,
    retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : undefined,
    path: Array.isArray(argumentPath) ? argumentPath.map(String) : [],
    requestId: typeof requestId === "string" ? requestId : undefined,
  });
}

export function connectionLost(cause: unknown): RoomcastError {
  const error = new RoomcastError("CONNECTION_LOST", `No answer came: ${String(cause)}`, { isRetryable: true });
  error.cause = cause;
  return error;
}
