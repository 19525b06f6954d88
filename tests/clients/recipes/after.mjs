// The other way to resume: the subscription names its own cursor. For documents with a variable `$after`.

/** Wraps a graphql-ws client. It sends the same payload again when it reconnects, so a getter is enough. */
export function resumable(client) {
  return {
    ...client,
    subscribe(payload, sink) {
      let after = payload.variables?.after;
      const current = {
        ...payload,
        get variables() {
          return { ...payload.variables, after };
        },
      };
      return client.subscribe(current, {
        next(result) {
          after = Object.values(result.data ?? {}).find((value) => value?.cursor)?.cursor ?? after;
          sink.next(result);
        },
        error: (error) => sink.error(error),
        complete: () => sink.complete(),
      });
    },
  };
}
