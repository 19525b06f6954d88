// One subscription on a WebSocket of its own (graphql-transport-ws). The client inside GraphiQL cannot refresh a token,
// and after a lost connection it subscribes again from the start.

import { onSessionChange, refresh, refuseToken, sessionToken, sessionUser } from "./session.js";

const TOKEN_EXPIRED = 4403;
const SUBSCRIPTION = "subscription";
const REFRESH_AT_SHARE = 0.8;

/** What the user reads when the server closed the connection. */
function closeText({ code, reason }, withSession) {
  const description = `The connection was closed (${code}${reason && `: ${reason}`}).`;
  if (code !== TOKEN_EXPIRED) return `${description} Run the subscription again to continue.`;
  return withSession
    ? `${description} Run the subscription again: it gets a new token.`
    : `${description} Put a new token into Headers and run the subscription again.`;
}

/** Calls `events.next` for each result and `events.end` once. Returns a function that closes the connection. */
export function openStream(operation, headers, withSession, events) {
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/graphql`, [
    "graphql-transport-ws",
  ]);
  const send = (message) => socket.send(JSON.stringify(message));
  let token = null;
  let timer = 0;
  let onRefreshed = null;

  function close(reason) {
    clearTimeout(timer);
    forget();
    socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
    events.end(reason);
  }

  const forget = onSessionChange(() => {
    if (withSession && sessionUser() === null) close("The session of the chat page is no longer used.");
  });

  /** Over this socket, a refresh extends its life. */
  function refreshHere() {
    const answer = new Promise((resolve) => (onRefreshed = resolve));
    const sendHere = (payload) => {
      send({ id: "refresh", type: "subscribe", payload });
      return answer;
    };
    refresh(sendHere).then(refreshLater, () => {}); // where it fails, the server closes with 4403
  }

  function refreshLater(expiresAt) {
    const lifetimeMs = Date.parse(expiresAt) - Date.now();
    timer = setTimeout(refreshHere, Math.max(1_000, Math.min(lifetimeMs * REFRESH_AT_SHARE, 2 ** 31 - 1)));
  }

  const on = {
    connection_ack({ payload }) {
      send({ id: SUBSCRIPTION, type: "subscribe", payload: operation });
      if (withSession) refreshLater(payload.accessTokenExpiresAt);
    },
    ping: () => send({ type: "pong" }),
    next: ({ id, payload }) => (id === SUBSCRIPTION ? events.next(payload) : onRefreshed(payload)),
    error({ id, payload }) {
      if (id !== SUBSCRIPTION) return onRefreshed({ errors: payload });
      events.next({ errors: payload });
      close(null);
    },
    complete: ({ id }) => id === SUBSCRIPTION && close(null),
  };

  socket.onopen = async () => {
    try {
      token = withSession ? await sessionToken() : null;
      send({ type: "connection_init", payload: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) } });
    } catch (error) {
      close(error.message);
    }
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    on[message.type]?.(message);
  };
  socket.onclose = (event) => {
    if (event.code === TOKEN_EXPIRED && token) refuseToken(token);
    close(closeText(event, withSession));
  };
  return () => close(null);
}
