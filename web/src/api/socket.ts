/** The one socket: it comes back by itself, keeps its token fresh, and says whether it is there. */
import { createClient, type Client } from "graphql-ws";
import { stringifyDocument } from "@urql/core";
import type { ResultOf } from "gql.tada";
import { Store } from "../store";
import { Renew } from "./accounts";
import { Refusal } from "./refusal";
import { resumable } from "./resume";
import { forget, isStale, renew, session, type Renewing } from "./session";

/** `lost` while it is tried again; `refused` when trying again is no use, which is a bug on one of the two sides. */
export type Connection = "connecting" | "live" | "lost" | "refused";

export interface LiveSocket {
  client: Client;
  connection: Store<Connection>;
  close(): void;
}

const EXPIRED = 4403;
const SESSION_ENDED = 4401;
const HOPELESS = new Set([4400, 4406, 4409, 4429]);

/** The server is asked for a sign of life this often; a silence of half that time afterwards counts as a cut wire. */
const HEARTBEAT_MS = 10_000;

function address(): string {
  return `${location.protocol.replace("http", "ws")}//${location.host}/graphql`;
}

/** Doubling, with luck so that a restarted server is not met by everybody at once; short when the network is back. */
function pause(retries: number): Promise<void> {
  const longest = Math.min(250 * 2 ** retries, 5_000);
  return new Promise((resolve) => {
    const timer = setTimeout(done, longest * (0.5 + Math.random() / 2));
    function done() {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    }
    addEventListener("online", done);
  });
}

export function openSocket(): LiveSocket {
  const connection = new Store<Connection>("connecting");
  let expired = false;
  let renewal = 0;
  let silence = 0;

  const client = createClient({
    url: address(),
    retryAttempts: Infinity,
    shouldRetry: () => true, // a server that restarts refuses connections for a moment
    retryWait: pause,
    keepAlive: HEARTBEAT_MS,
    async connectionParams() {
      if (expired || isStale()) await renew();
      return { authorization: `Bearer ${session.value?.accessToken ?? ""}` };
    },
    on: {
      connected: (_socket, ack) => {
        expired = false;
        connection.set("live");
        renewBefore(ack?.["accessTokenExpiresAt"]);
      },
      closed: (event) => {
        const code = event instanceof CloseEvent ? event.code : 0;
        expired = code === EXPIRED;
        clearTimeout(renewal);
        clearTimeout(silence);
        connection.set(HOPELESS.has(code) ? "refused" : "lost");
        if (code === SESSION_ENDED) forget();
      },
      ping: (received) => {
        if (!received) silence = window.setTimeout(() => client.terminate(), HEARTBEAT_MS / 2);
      },
      pong: (received) => {
        if (received) clearTimeout(silence);
      },
    },
  });

  /** A renewal over the socket lets it live on undisturbed; over HTTP the server would close it at the token's end. */
  const overSocket: Renewing = async (refreshToken) => {
    const query = stringifyDocument(Renew);
    const answers = client.iterate<ResultOf<typeof Renew>>({ query, variables: { input: { refreshToken } } });
    for await (const { data } of answers) {
      if (!data) break;
      const { errors, user, tokens } = data.refreshSession;
      const [refused] = errors;
      if (refused) throw new Refusal(refused.message, refused.code, refused.retryable);
      renewBefore(tokens?.accessTokenExpiresAt);
      return { user, tokens };
    }
    throw new Refusal("The server sent no answer.", "UNREACHABLE", true);
  };

  function renewBefore(end: unknown): void {
    if (typeof end !== "string") return;
    const left = Date.parse(end) - Date.now();
    clearTimeout(renewal);
    renewal = window.setTimeout(() => void renew(overSocket), Math.max(1_000, Math.min(left * 0.8, 2 ** 31 - 1)));
  }

  function close(): void {
    clearTimeout(renewal);
    clearTimeout(silence);
    void client.dispose();
  }

  return { client: resumable(client), connection, close };
}
