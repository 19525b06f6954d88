/** One socket (graphql-transport-ws) whose subscriptions resume, each from the newest cursor that it has received. */
import { createClient, type Client, type ClientOptions, type SubscribePayload } from "graphql-ws";
import { connectionLost, fromResponse, RoomcastError, type ResponseError } from "./errors.js";
import { pauseMs, wait } from "./retry.js";
import { Store } from "./store.js";
import type { Tokens } from "./tokens.js";

/** `failed`: a violation of the protocol, which repeating does not cure. `closed`: no subscription needs a socket. */
export type ConnectionState = "closed" | "connecting" | "connected" | "reconnecting" | "failed";

export interface Socket {
  /** May be given to Apollo's GraphQLWsLink, to urql's subscriptionExchange and to Relay. */
  readonly client: Client;
  readonly connection: Store<ConnectionState>;
}

/** This side has closed the socket: no subscription needs it. */
const NORMAL_CLOSURE = 1000;
const TOKEN_EXPIRED = 4403;
const NOT_SIGNED_IN = 4401;
const FATAL = new Set([4400, 4406, 4409, 4429]);
/** The client pings, too: a laptop that wakes up notices late that its connection is gone. */
const HEARTBEAT_MS = 10_000;

export function openSocket(url: string, tokens: Tokens, options: Partial<ClientOptions> = {}): Socket {
  if (!options.webSocketImpl && typeof WebSocket === "undefined")
    throw new TypeError("There is no WebSocket here (Node before 22): install `ws`, and pass it as `webSocketImpl`.");
  const connection = new Store<ConnectionState>("closed");
  /** By the id of an operation: takes the newest cursor. */
  const positions = new Map<string, (cursor: string) => void>();
  let [newestId, used, refused] = [0, "", undefined as string | undefined];
  let pongTimer: ReturnType<typeof setTimeout> | undefined;

  const client: Client = createClient({
    lazyCloseTimeout: 1_000,
    retryAttempts: Infinity,
    shouldRetry: () => true, // a server that restarts refuses connections for a moment
    retryWait: (retries) => wait(pauseMs(retries)),
    keepAlive: HEARTBEAT_MS,
    ...options,
    url,
    generateID: () => String(++newestId),
    connectionParams: async () => {
      used = await tokens.accessToken(refused);
      return { authorization: `Bearer ${used}` };
    },
    on: {
      connecting: (isRetry) => connection.set(isRetry ? "reconnecting" : "connecting"),
      connected: () => {
        refused = undefined;
        connection.set("connected");
      },
      closed: (event) => {
        const { code } = event as { code?: number };
        clearTimeout(pongTimer);
        refused = code === TOKEN_EXPIRED ? used : undefined;
        // Not if somebody has signed in meanwhile.
        if (code === NOT_SIGNED_IN && tokens.session.get()?.accessToken === used) tokens.clear();
        connection.set(stateAfter(code));
      },
      ping: (isReceived, payload) => {
        if (!isReceived) pongTimer = setTimeout(() => client.terminate(), HEARTBEAT_MS / 2);
        // Where a stream of new messages is that has shown no message yet.
        const cursors = (payload?.["cursors"] ?? {}) as Record<string, string>;
        for (const [id, cursor] of Object.entries(cursors)) positions.get(id)?.(cursor);
      },
      pong: (isReceived) => {
        if (isReceived) clearTimeout(pongTimer);
      },
      message: (message) => {
        if (message.type === "next") {
          const cursor = cursorIn(message.payload.data);
          if (cursor !== undefined) positions.get(message.id)?.(cursor);
        } else if (message.type === "error" || message.type === "complete") positions.delete(message.id);
      },
    },
  });

  /** graphql-ws sends the payload object again when it reconnects, so `variables` is a getter with the newest cursor. */
  function resuming<Started>(payload: SubscribePayload, start: (current: SubscribePayload) => Started) {
    let after = checked(payload).variables?.["after"];
    const current = {
      ...payload,
      get variables() {
        return { ...payload.variables, after };
      },
    };
    const started = start(current);
    const id = String(newestId); // graphql-ws has asked for it just now
    positions.set(id, (cursor) => (after = cursor));
    return [started, () => positions.delete(id)] as const;
  }

  const subscribe: Client["subscribe"] = (payload, sink) => {
    if (!resumes(payload)) return client.subscribe(payload, sink);
    const [end, forget] = resuming(payload, (current) => client.subscribe(current, sink));
    return () => {
      forget();
      end();
    };
  };
  const iterate = ((payload: SubscribePayload) => {
    if (!resumes(payload)) return client.iterate(payload);
    const [results, forget] = resuming(payload, (current) => client.iterate(current));
    const end = results.return?.bind(results);
    results.return = (value) => {
      forget();
      return end ? end(value) : Promise.resolve({ done: true, value });
    };
    return results;
  }) as Client["iterate"];
  return { client: { ...client, subscribe, iterate }, connection };
}

function stateAfter(code: number | undefined): ConnectionState {
  if (code === NORMAL_CLOSURE || code === NOT_SIGNED_IN) return "closed";
  return code !== undefined && FATAL.has(code) ? "failed" : "reconnecting";
}

function resumes({ query }: SubscribePayload): boolean {
  return /\broom(Messages|Events)\b/.test(query);
}

/** The error that a subscription has ended with: errors of the server, or the event that closed the socket. */
export function subscriptionError(error: unknown): RoomcastError {
  if (Array.isArray(error)) return fromResponse(error[0] as ResponseError);
  if (error instanceof RoomcastError) return error;
  const { code, reason } = (error ?? {}) as { code?: number; reason?: string };
  if (code !== undefined && FATAL.has(code))
    return new RoomcastError("BAD_USER_INPUT", `The socket was closed: ${reason}`);
  return connectionLost(error);
}

/** Throws for a document that could not resume: the first lost connection would lose messages without a word. */
function checked(payload: SubscribePayload): SubscribePayload {
  if (!/\$after\b/.test(payload.query))
    throw new RoomcastError(
      "BAD_USER_INPUT",
      "Declare `$after: Cursor`, pass `after: $after` and select `cursor`: this subscription could not resume.",
    );
  return payload;
}

/** The `cursor` of the event, whatever the field is called. */
function cursorIn(data: unknown): string | undefined {
  for (const value of Object.values(data ?? {})) {
    const cursor = (value as { cursor?: unknown } | null)?.cursor;
    if (typeof cursor === "string") return cursor;
  }
  return undefined;
}
