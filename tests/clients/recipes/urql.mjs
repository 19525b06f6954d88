// urql: subscriptions over the socket, everything else over HTTP.
import { Client, fetchExchange, mapExchange, subscriptionExchange } from "@urql/core";
import { roomcastClient } from "./roomcast.mjs";

export function urqlClient({ httpUrl, wsUrl, accessToken, ...options }) {
  const socket = roomcastClient({ url: wsUrl, accessToken, ...options });
  const signedIn = mapExchange({
    async onOperation(operation) {
      const headers = { authorization: `Bearer ${await accessToken({ expired: false })}` };
      return { ...operation, context: { ...operation.context, fetchOptions: { headers } } };
    },
  });
  const sockets = subscriptionExchange({
    forwardSubscription: (request) => ({
      subscribe: (sink) => ({ unsubscribe: socket.subscribe(request, sink) }),
    }),
  });
  return new Client({ url: httpUrl, exchanges: [sockets, signedIn, fetchExchange], preferGetMethod: false });
}
