/** The urql client of a signed-in user: subscriptions go over the WebSocket, queries and mutations over HTTP. */
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { authExchange } from "@urql/exchange-auth";
import type { Store } from "../store";
import { isAccessTokenStale, refreshSession, session } from "./session";
import { type ConnectionState, openSocket } from "./socket";

export interface ApiClient {
  client: Client;
  connection: Store<ConnectionState>;
  close(): void;
}

type Variables = Record<string, unknown>;

/** Errors after which urql refreshes the tokens and sends the operation again. */
const REFRESH_CODES = new Set(["UNAUTHENTICATED", "TOKEN_EXPIRED"]);

const authentication = authExchange(async ({ appendHeaders }) => ({
  addAuthToOperation: (operation) =>
    appendHeaders(operation, { Authorization: `Bearer ${session.value?.accessToken ?? ""}` }),
  willAuthError: isAccessTokenStale,
  didAuthError: ({ graphQLErrors }) =>
    graphQLErrors.some(({ extensions }) => REFRESH_CODES.has(String(extensions["code"]))),
  refreshAuth: () => refreshSession(),
}));

/**
 * Without urql's cache exchange: its document cache would load a whole page again after each mutation. The events and
 * the results of mutations are reduced by `state/timeline.ts`.
 */
export function connect(): ApiClient {
  const socket = openSocket();
  const subscriptions = subscriptionExchange({
    forwardSubscription: ({ query = "", operationName = null, variables = null }) => ({
      subscribe: (sink) => ({
        unsubscribe: socket.client.subscribe<Variables, Variables>({ query, operationName, variables }, sink),
      }),
    }),
  });
  const client = new Client({
    url: "/graphql",
    exchanges: [subscriptions, authentication, fetchExchange],
    preferGetMethod: false,
  });
  return { client, connection: socket.connection, close: socket.close };
}
