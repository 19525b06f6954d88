// A graphql-ws client whose subscriptions resume by themselves: nothing lost, nothing twice, however often the connection
// is cut. For documents that pass a variable `$after: Cursor` on and select `cursor`.
// @ts-check
import { createClient } from "graphql-ws";

/** @import { Client, ClientOptions, SubscribePayload } from "graphql-ws" */
/** @typedef {(state: { expired: boolean }) => string | Promise<string>} AccessToken */

/**
 * `accessToken` answers with a token; `expired` says that the server has just turned the last one down. The client may
 * be handed to Apollo's GraphQLWsLink, to urql's subscriptionExchange and to Relay as it is.
 *
 * @param {ClientOptions & { accessToken: AccessToken }} options
 * @returns {Client}
 */
export function roomcastClient({ accessToken, ...options }) {
  /** @type {Map<string, (cursor: string) => void>} By the id of an operation: where it has got to. */
  const open = new Map();
  let [expired, newestId] = [false, 0];

  const client = createClient({
    retryAttempts: Infinity,
    shouldRetry: () => true, // a server that restarts refuses connections for a moment
    ...options,
    connectionParams: async () => ({ authorization: await accessToken({ expired }) }),
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
        if (message.type === "next") moved(message.id, cursorIn(message.payload.data));
        // Where a stream is that has shown no message yet.
        if (message.type === "ping") Object.entries(message.payload?.cursors ?? {}).forEach((entry) => moved(...entry));
        if (message.type === "error" || message.type === "complete") open.delete(message.id);
        options.on?.message?.(message);
      },
    },
  });

  /** @param {string} id @param {string | undefined} cursor */
  const moved = (id, cursor) => cursor && open.get(id)?.(cursor);

  /**
   * Starts with a payload that names the newest cursor whenever it is sent: graphql-ws sends it again when it reconnects.
   *
   * @template Started
   * @param {SubscribePayload} payload
   * @param {(current: SubscribePayload) => Started} start
   * @returns {[Started, () => void]}
   */
  function resuming(payload, start) {
    let after = checked(payload).variables?.after;
    const current = {
      ...payload,
      get variables() {
        return { ...payload.variables, after };
      },
    };
    const started = start(current);
    const id = String(newestId); // graphql-ws has asked for it just now
    open.set(id, (cursor) => (after = cursor));
    return [started, () => open.delete(id)];
  }

  return {
    ...client,
    subscribe(payload, sink) {
      const [end, forget] = resuming(payload, (current) => client.subscribe(current, sink));
      return () => (forget(), end());
    },
    iterate(payload) {
      const [results, forget] = resuming(payload, (current) => client.iterate(current));
      const end = results.return;
      results.return = (value) => (forget(), /** @type {any} */ (end)(value));
      return /** @type {any} */ (results);
    },
  };
}

/** @param {SubscribePayload} payload */
function checked(payload) {
  const resumes = /\broom(Messages|Events)\b/.test(payload.query ?? "");
  if (resumes && !/\$after\b/.test(payload.query))
    throw new TypeError("declare `$after: Cursor` and pass `after: $after`: this subscription could not resume");
  return payload;
}

/** @param {Record<string, any> | null | undefined} data @returns {string | undefined} Whatever the field is called. */
function cursorIn(data) {
  return Object.values(data ?? {}).find((value) => value?.cursor)?.cursor;
}
