/** Subscriptions that go on where they were: after every reconnect each one names the newest cursor it has seen. */
import type { FormattedExecutionResult } from "graphql";
import type { Client, Sink, SubscribePayload } from "graphql-ws";

/** The same client, whose subscriptions with a variable `$after` lose nothing and repeat nothing. */
export function withResume(client: Client): Client {
  function subscribe<Data = Record<string, unknown>, Extensions = unknown>(
    payload: SubscribePayload,
    sink: Sink<FormattedExecutionResult<Data, Extensions>>,
  ): () => void {
    if (!payload.variables || !("after" in payload.variables)) return client.subscribe(payload, sink);
    let after = payload.variables["after"];
    // graphql-ws sends the same payload object again when it reconnects, so a getter moves `$after` forward.
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

/** That of the one field which a subscription has. */
function findCursor(data: unknown): string | undefined {
  for (const value of Object.values(data ?? {})) {
    if (value && typeof value === "object" && "cursor" in value) return String(value.cursor);
  }
  return undefined;
}
