// How GraphiQL's operations are sent: queries and mutations over HTTP, each subscription over a WebSocket of its own.

import { startEvents, hideEvents } from "./events.js";
import { postGraphQL, refuseToken, sessionToken, sessionUser } from "./session.js";
import { openStream } from "./stream.js";

const REFUSALS = new Set(["UNAUTHENTICATED", "TOKEN_EXPIRED"]);

/** Without an Authorization that has no token yet: an untouched Headers tab is no bad token. */
function typedHeaders(headers = {}) {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => !/^bearer\s*$/i.test(value)));
}

const usesSession = (typed) =>
  sessionUser() !== null && !Object.keys(typed).some((name) => name.toLowerCase() === "authorization");

const isRefused = ({ data, errors }) => !data && errors?.some(({ extensions }) => REFUSALS.has(extensions?.code));

async function request(operation, typed) {
  if (!usesSession(typed)) return postGraphQL(operation, typed);
  const token = await sessionToken();
  const result = await postGraphQL(operation, { ...typed, Authorization: `Bearer ${token}` });
  if (!isRefused(result)) return result;
  refuseToken(token); // it was refused, so nothing was executed, and a mutation may be sent again
  return postGraphQL(operation, { ...typed, Authorization: `Bearer ${await sessionToken()}` });
}

/** An observable, whose result is the list of all events so far. */
function subscription(operation, typed) {
  return {
    subscribe(observer) {
      const events = startEvents(observer);
      const stop = openStream(operation, typed, usesSession(typed), events);
      return {
        unsubscribe() {
          events.stop();
          stop();
        },
      };
    },
  };
}

function isSubscription(documentAST, name) {
  const operations = documentAST?.definitions.filter(({ kind }) => kind === "OperationDefinition") ?? [];
  const chosen = operations.find((one) => !name || one.name?.value === name);
  return chosen?.operation === "subscription";
}

/** GraphiQL's fetcher. `onData` gets the data of each query and mutation. */
export function createFetcher(onData) {
  return async (operation, { headers, documentAST } = {}) => {
    const typed = typedHeaders(headers);
    if (documentAST) hideEvents(); // else GraphiQL itself asks for the schema
    if (isSubscription(documentAST, operation.operationName)) return subscription(operation, typed);
    const result = await request(operation, typed);
    onData(result.data);
    return result;
  };
}
