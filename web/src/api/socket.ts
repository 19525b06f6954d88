/** The one socket: it comes back by itself, keeps its token fresh, and says whether it is there. */
import { createClient, type Client } from "graphql-ws";
import { stringifyDocument } from "@urql/core";
import type { ResultOf } from "gql.tada";
import { Store } from "../store";
import { RefreshSession } from "./accounts";
import { RequestError } from "./request";
import { withResume } from "./resume";
import { clearSession, isAccessTokenStale, refreshSession, session, type SendRefresh } from "./session";

/** `lost` while it is tried again; `refused` when trying again is no use, which is a bug on one of the two sides. */
export type ConnectionState = "connecting" | "connected" | "reconnecting" | "failed";

export interface LiveSocket {
  client: Client;
  connection: Store<ConnectionState>;
  close(): void;
}

const TOKEN_EXPIRED_CODE = 4403;
const SESSION_REVOKED_CODE = 4401;
const FATAL_CODES = new Set([4400, 4406, 4409, 4429]);

/** The server is asked for a sign of life this often; a silence of half that time afterwards counts as a cut wire. */
const HEARTBEAT_MS = 10_000;

function socketUrl(): string {
  return `${location.protocol.replace("http", "ws")}//${location.host}/graphql`;
}

/** Doubling, with luck so that a restarted server is not met by everybody at once; short when the network is back. */
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
    shouldRetry: () => true, // a server that restarts refuses connections for a moment
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

  /** A renewal over the socket lets it live on undisturbed; over HTTP the server would close it at the token's end. */
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
