/** The urql client of who is signed in: subscriptions over the socket, everything else over HTTP. */
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { authExchange } from "@urql/exchange-auth";
import type { Store } from "../store";
import { isStale, renew, session } from "./session";
import { openSocket, type Connection } from "./socket";

export interface Roomcast {
  client: Client;
  connection: Store<Connection>;
  close(): void;
}

type Values = Record<string, unknown>;

const SIGN_IN_AGAIN = new Set(["UNAUTHENTICATED", "TOKEN_EXPIRED"]);

const signedIn = authExchange(async ({ appendHeaders }) => ({
  addAuthToOperation: (operation) =>
    appendHeaders(operation, { Authorization: `Bearer ${session.value?.accessToken ?? ""}` }),
  willAuthError: isStale,
  didAuthError: ({ graphQLErrors }) =>
    graphQLErrors.some(({ extensions }) => SIGN_IN_AGAIN.has(String(extensions["code"]))),
  refreshAuth: () => renew(),
}));

/**
 * urql keeps no rows here: its document cache would ask for a whole page after each mutation. What comes live is
 * reduced by `state/timeline.ts`.
 */
export function connect(): Roomcast {
  const socket = openSocket();
  const live = subscriptionExchange({
    forwardSubscription: ({ query = "", operationName = null, variables = null }) => ({
      subscribe: (sink) => ({
        unsubscribe: socket.client.subscribe<Values, Values>({ query, operationName, variables }, sink),
      }),
    }),
  });
  const client = new Client({ url: "/graphql", exchanges: [live, signedIn, fetchExchange], preferGetMethod: false });
  return { client, connection: socket.connection, close: socket.close };
}
