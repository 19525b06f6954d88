/** Subscriptions that resume: after a reconnect each one is sent again with the newest cursor it has received. */
import type { FormattedExecutionResult } from "graphql";
import type { Client, Sink, SubscribePayload } from "graphql-ws";

/** Wraps a client so that subscriptions with a variable `$after` neither lose nor repeat events. */
export function withResume(client: Client): Client {
  function subscribe<Data = Record<string, unknown>, Extensions = unknown>(
    payload: SubscribePayload,
    sink: Sink<FormattedExecutionResult<Data, Extensions>>,
  ): () => void {
    if (!payload.variables || !("after" in payload.variables)) return client.subscribe(payload, sink);
    let after = payload.variables["after"];
    // graphql-ws sends the same payload object after each reconnect, so `variables` is a getter with the newest cursor.
    const resumingPayload = {
      ...payload,
      get variables() {
        return { ...payload.variables, after };
      },
    };
    return client.subscribe<Data, Extensions>(resumingPayload, {
      next(result) {
        after = findCursor(result.data) ?? after;
        sink.next(result);
      },
      error: (error) => sink.error(error),
      complete: () => sink.complete(),
    });
  }
  return { ...client, subscribe };
}

/** The `cursor` of the event. A subscription has one field. */
function findCursor(data: unknown): string | undefined {
  for (const value of Object.values(data ?? {})) {
    if (value && typeof value === "object" && "cursor" in value) return String(value.cursor);
  }
  return undefined;
}
