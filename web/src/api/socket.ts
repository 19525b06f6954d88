/** The WebSocket of the page: reconnects, refreshes its access token, and reports the state of the connection. */
import { stringifyDocument } from "@urql/core";
import type { ResultOf } from "gql.tada";
import { type Client, createClient } from "graphql-ws";
import { Store } from "../store";
import { RefreshSession } from "./accounts";
import { RequestError } from "./request";
import { withResume } from "./resume";
import { clearSession, isAccessTokenStale, refreshSession, type SendRefresh, session } from "./session";

/** `failed`: the server closed the socket with a code that makes a retry useless. That is a bug of client or server. */
export type ConnectionState = "connecting" | "connected" | "reconnecting" | "failed";

export interface LiveSocket {
  client: Client;
  connection: Store<ConnectionState>;
  close(): void;
}

// Close codes of the server.
const TOKEN_EXPIRED_CODE = 4403;
const SESSION_REVOKED_CODE = 4401;
/** Violations of the protocol: bad message, wrong subprotocol, duplicate id, second connection_init. */
const FATAL_CODES = new Set([4400, 4406, 4409, 4429]);

/** The interval of pings. Without a pong within half of it the connection counts as lost. */
const HEARTBEAT_MS = 10_000;

function socketUrl(): string {
  return `${location.protocol.replace("http", "ws")}//${location.host}/graphql`;
}

/**
 * Exponential backoff with jitter, so that the clients of a restarted server do not reconnect all at once. Ends early
 * when the browser is online again.
 */
function waitBeforeRetry(retries: number): Promise<void> {
  const maxDelayMs = Math.min(250 * 2 ** retries, 5_000);
  return new Promise((resolve) => {
    const timer = setTimeout(finish, maxDelayMs * (0.5 + Math.random() / 2));
    function finish() {
      clearTimeout(timer);
      removeEventListener("online", finish);
      resolve();
    }
    addEventListener("online", finish);
  });
}

export function openSocket(): LiveSocket {
  const connection = new Store<ConnectionState>("connecting");
  let isTokenExpired = false;
  let refreshTimer = 0;
  let pongTimer = 0;

  const client = createClient({
    url: socketUrl(),
    retryAttempts: Infinity,
    shouldRetry: () => true, // a server that restarts rejects connections for a moment
    retryWait: waitBeforeRetry,
    keepAlive: HEARTBEAT_MS,
    async connectionParams() {
      if (isTokenExpired || isAccessTokenStale()) await refreshSession();
      return { authorization: `Bearer ${session.value?.accessToken ?? ""}` };
    },
    on: {
      connected: (_socket, ack) => {
        isTokenExpired = false;
        connection.set("connected");
        scheduleRefresh(ack?.["accessTokenExpiresAt"]);
      },
      closed: (event) => {
        const code = event instanceof CloseEvent ? event.code : 0;
        isTokenExpired = code === TOKEN_EXPIRED_CODE;
        clearTimeout(refreshTimer);
        clearTimeout(pongTimer);
        connection.set(FATAL_CODES.has(code) ? "failed" : "reconnecting");
        if (code === SESSION_REVOKED_CODE) clearSession();
      },
      ping: (received) => {
        if (!received) pongTimer = window.setTimeout(() => client.terminate(), HEARTBEAT_MS / 2);
      },
      pong: (received) => {
        if (received) clearTimeout(pongTimer);
      },
    },
  });

  /** A refresh over the socket extends its life; after one over HTTP the server closes it when its token expires. */
  const refreshOverSocket: SendRefresh = async (refreshToken) => {
    const query = stringifyDocument(RefreshSession);
    const results = client.iterate<ResultOf<typeof RefreshSession>>({ query, variables: { input: { refreshToken } } });
    for await (const { data } of results) {
      if (!data) break;
      const { errors, user, tokens } = data.refreshSession;
      const [userError] = errors;
      if (userError) throw new RequestError(userError.message, userError.code, userError.retryable);
      scheduleRefresh(tokens?.accessTokenExpiresAt);
      return { user, tokens };
    }
    throw new RequestError("The server sent no answer.", "UNREACHABLE", true);
  };

  function scheduleRefresh(expiresAt: unknown): void {
    if (typeof expiresAt !== "string") return;
    const remainingMs = Date.parse(expiresAt) - Date.now();
    clearTimeout(refreshTimer);
    refreshTimer = window.setTimeout(
      () => void refreshSession(refreshOverSocket),
      Math.max(1_000, Math.min(remainingMs * 0.8, 2 ** 31 - 1)),
    );
  }

  function close(): void {
    clearTimeout(refreshTimer);
    clearTimeout(pongTimer);
    void client.dispose();
  }

  return { client: withResume(client), connection, close };
}
