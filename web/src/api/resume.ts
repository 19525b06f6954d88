/** Subscriptions that go on where they were: after every reconnect each one names the newest cursor it has seen. */
import type { Client, ExecutionResult, SubscribePayload } from "graphql-ws";

function cursorIn(result: ExecutionResult<Record<string, unknown>, unknown>): string | undefined {
  for (const value of Object.values(result.data ?? {})) {
    if (value && typeof value === "object" && "cursor" in value) return String(value.cursor);
  }
  return undefined;
}

/** graphql-ws sends the same payload object again when it reconnects, so a getter moves `$after` forward. */
function movingOn(payload: SubscribePayload, after: () => unknown): SubscribePayload {
  return {
    ...payload,
    get variables() {
      return { ...payload.variables, after: after() };
    },
  };
}

/** The same client, whose subscriptions with a variable `$after` lose nothing and repeat nothing. */
export function resumable(client: Client): Client {
  const subscribe: Client["subscribe"] = (payload, sink) => {
    if (!payload.variables || !("after" in payload.variables)) return client.subscribe(payload, sink);
    let after = payload.variables["after"];
    return client.subscribe(
      movingOn(payload, () => after),
      {
        ...sink,
        next(result) {
          after = cursorIn(result as ExecutionResult<Record<string, unknown>>) ?? after;
          sink.next(result as never);
        },
        error: (error) => sink.error(error),
        complete: () => sink.complete(),
      },
    );
  };
  return { ...client, subscribe };
}
