// The other way to resume, for documents without a variable `$after`: what the client says when it connects.
// @ts-check
import { createClient } from "graphql-ws";

/** @import { Client, ClientOptions } from "graphql-ws" */
/** @typedef {(state: { expired: boolean }) => string | Promise<string>} AccessToken */

/** @param {ClientOptions & { accessToken: AccessToken }} options @returns {Client} */
export function mapClient({ accessToken, ...options }) {
  /** @type {Record<string, string>} The newest cursor of each operation by its id, which graphql-ws keeps. */
  const resume = {};
  let [expired, newestId] = [false, 0];

  const client = createClient({
    retryAttempts: Infinity,
    shouldRetry: () => true,
    ...options,
    connectionParams: async () => ({ authorization: await accessToken({ expired }), resume }),
    generateID: () => String(++newestId),
    on: {
      ...options.on,
      connected: (...event) => {
        expired = false;
        options.on?.connected?.(...event);
      },
      closed: (event) => {
        expired = /** @type {{ code?: number }} */ (event).code === 4403;
        options.on?.closed?.(event);
      },
      message: (message) => {
        if (message.type === "next") {
          const shown = /** @type {any[]} */ (Object.values(message.payload.data ?? {}));
          resume[message.id] = shown.find((value) => value?.cursor)?.cursor ?? resume[message.id];
        }
        if (message.type === "ping") Object.assign(resume, message.payload?.cursors);
        if (message.type === "error" || message.type === "complete") delete resume[message.id];
        options.on?.message?.(message);
      },
    },
  });

  return {
    ...client,
    subscribe(payload, sink) {
      const end = client.subscribe(payload, sink);
      const id = String(newestId); // graphql-ws has asked for it just now
      return () => (delete resume[id], end());
    },
  };
}
