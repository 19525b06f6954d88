// A graphql-ws client for roomcast that loses nothing and repeats nothing, however often its socket is cut.
import { createClient } from "graphql-ws";

/**
 * `accessToken({ expired })` answers with a token; `expired` says that the server has just turned the last one down.
 * The client may be handed to Apollo's GraphQLWsLink, to urql's subscriptionExchange and to Relay as it is.
 */
export function roomcastClient({ url, accessToken, ...options }) {
  const cursors = {};
  let expired = false;
  const client = createClient({
    url,
    retryAttempts: Infinity,
    shouldRetry: () => true, // a server that restarts refuses connections for a moment
    connectionParams: async () => ({ authorization: await accessToken({ expired }), resume: cursors }),
    ...options,
    on: {
      ...options.on,
      connected: (...event) => ((expired = false), options.on?.connected?.(...event)),
      closed: (event) => ((expired = event.code === 4403), options.on?.closed?.(event)),
    },
  });
  return { ...client, subscribe: (payload, sink) => remember(client, cursors, payload, sink) };
}

// The newest cursor of every open subscription is what the next connection resumes from.
function remember(client, cursors, payload, sink) {
  const keys = new Set();
  const forget = () => keys.forEach((key) => delete cursors[key]);
  const end = client.subscribe(payload, {
    next(result) {
      for (const [field, value] of Object.entries(result.data ?? {})) {
        if (!value?.cursor) continue;
        const key = `${payload.variables.roomId}:${field}`;
        keys.add(key);
        cursors[key] = value.cursor;
      }
      sink.next(result);
    },
    error: (error) => (forget(), sink.error(error)),
    complete: () => (forget(), sink.complete()),
  });
  return () => (forget(), end());
}
