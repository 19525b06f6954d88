// The session of the chat page, used after a click. Only the id of its user is kept here, and only until a reload:
// another site can open this page, but cannot make that click. The tokens stay where the chat page has stored them
// (web/src/api/session.ts), and are read for each request.

const STORAGE_KEY = "roomcast.session";
const REFRESH_AT_SHARE = 0.9;

const REFRESH = `mutation RefreshSession($input: RefreshSessionInput!) {
  refreshSession(input: $input) {
    errors { message }
    tokens { accessToken accessTokenExpiresAt refreshToken }
  }
}`;

const listeners = new Set();
let usedBy = null;
let refusedToken = null;

const stored = () => JSON.parse(localStorage.getItem(STORAGE_KEY));

/** The id of the user who is signed in on the chat page, or null. */
export const signedInUser = () => stored()?.userId ?? null;

/** The id of the user whose session is used here, or null. Signing out on the chat page ends the use. */
export function sessionUser() {
  if (usedBy !== signedInUser()) usedBy = null;
  return usedBy;
}

/** Starts or ends the use. Call it for a click only. */
export function setSessionUse(isUsed) {
  usedBy = isUsed ? signedInUser() : null;
  announce();
}

/** Calls `listener` when the use starts or ends, and when somebody signs in or out in another tab. */
export function onSessionChange(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

function announce() {
  for (const listener of [...listeners]) listener();
}

addEventListener("storage", ({ key, newValue }) => {
  if (key !== STORAGE_KEY && key !== null) return;
  if (newValue === null) usedBy = null; // also if the same user has signed in again before this event arrived
  announce();
});

/** The access token, refreshed where it is stale or was refused. Throws an Error that tells the user what to do. */
export async function sessionToken() {
  const user = sessionUser();
  const { staleAt, accessToken } = stored() ?? {};
  if (user !== null && (staleAt < Date.now() || accessToken === refusedToken)) await refresh(postGraphQL);
  if (user === null || sessionUser() !== user) throw new Error("Signed out on the chat page. Sign in there again.");
  return stored().accessToken;
}

/** The server has refused this access token: refresh it before the next request. */
export function refuseToken(token) {
  refusedToken = token;
}

/** Refreshes the tokens and returns when the access token expires. `send` sends an operation and returns its result. */
export async function refresh(send) {
  const before = stored();
  const { data, errors } = await send({
    query: REFRESH,
    variables: { input: { refreshToken: before.refreshToken } },
  });
  const now = stored();
  // Signed out, or refreshed by another tab, while the request ran: what is stored now is newer than the answer.
  if (now?.refreshToken !== before.refreshToken) return now?.accessTokenExpiresAt;
  const [error] = errors ?? data.refreshSession.errors;
  if (error) throw new Error(`The chat page's token cannot be refreshed: ${error.message} Sign in there again.`);
  const { tokens } = data.refreshSession;
  const lifetimeMs = Date.parse(tokens.accessTokenExpiresAt) - Date.now();
  const next = { ...before, ...tokens, staleAt: Date.now() + lifetimeMs * REFRESH_AT_SHARE };
  localStorage.setItem(STORAGE_KEY, JSON.stringify(next));
  return tokens.accessTokenExpiresAt;
}

export async function postGraphQL(operation, headers = {}) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(operation),
  });
  return response.json();
}
