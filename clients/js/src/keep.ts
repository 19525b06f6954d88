/** Subscriptions to passing signals and to the inbox: each starts with a complete state, so it may simply start again. */
import type { Client, SubscribePayload } from "graphql-ws";
import { pauseMs, wait } from "./retry.js";
import { subscriptionError } from "./socket.js";

/**
 * Calls `onData` with each result. Subscribes again after a failure of the server, and calls `onEnd` when the
 * subscription is over: refused, completed, or ended by the function that this returns.
 */
export function keepSubscribed<Data>(
  client: Client,
  payload: SubscribePayload,
  onData: (data: Data) => void,
  onEnd: () => void,
): () => void {
  const ended = new AbortController();
  let attempt = 0;
  let end = (): void => undefined;
  const start = (): void => {
    if (ended.signal.aborted) return;
    end = client.subscribe<Data>(payload, {
      next: ({ data }) => {
        attempt = 0;
        if (data) onData(data);
      },
      error: (error) => {
        const { isRetryable, retryAfterMs } = subscriptionError(error);
        if (isRetryable) void wait(pauseMs(attempt++, retryAfterMs), ended.signal).then(start);
        else onEnd();
      },
      complete: onEnd,
    });
  };
  start();
  return () => {
    ended.abort();
    end();
  };
}
