/** The session: user id and tokens, stored for all tabs. The first tab that needs new tokens refreshes them. */
import { Client, fetchExchange } from "@urql/core";
import { Store } from "../store";
import { Login, Logout, RefreshSession, Signup, type Tokens } from "./accounts";
import { RequestError, runMutation } from "./request";

export interface Session extends Tokens {
  userId: string;
  /** When to refresh the access token, in milliseconds since 1970: before it expires. */
  staleAt: number;
}

/** For requests that need no access token, such as signing in and refreshing the tokens. */
export const anonymousClient = new Client({ url: "/graphql", exchanges: [fetchExchange], preferGetMethod: false });

/** The share of a token's lifetime after which it is refreshed. */
const REFRESH_AT_SHARE = 0.9;
const STORAGE_KEY = "roomcast.session";

function readStoredSession(): Session | null {
  const text = localStorage.getItem(STORAGE_KEY);
  return text ? (JSON.parse(text) as Session) : null;
}

export const session = new Store<Session | null>(readStoredSession());

// Another tab has signed in, signed out, or refreshed the tokens.
addEventListener("storage", ({ key }) => {
  if (key === STORAGE_KEY || key === null) session.set(readStoredSession());
});

interface SignInResult {
  user: { id: string } | null;
  tokens: Tokens | null;
}

function storeSession({ user, tokens }: SignInResult): void {
  if (!user || !tokens) return;
  const lifetimeMs = Date.parse(tokens.accessTokenExpiresAt) - Date.now();
  const next: Session = { userId: user.id, staleAt: Date.now() + lifetimeMs * REFRESH_AT_SHARE, ...tokens };
  localStorage.setItem(STORAGE_KEY, JSON.stringify(next));
  session.set(next);
}

/** Signs out: removes everything that the page has stored, drafts and unsent messages included. */
export function clearSession(): void {
  for (const key of Object.keys(localStorage)) if (key.startsWith("roomcast.")) localStorage.removeItem(key);
  session.set(null);
}

export function isAccessTokenStale(): boolean {
  return session.value !== null && session.value.staleAt < Date.now();
}

export async function signIn(usernameOrEmail: string, password: string): Promise<void> {
  storeSession(
    await runMutation(anonymousClient, Login, { input: { usernameOrEmail, password, deviceName: "Web page" } }),
  );
}

export async function signUp(
  username: string,
  password: string,
  { inviteCode, setupToken }: { inviteCode: string | null; setupToken: string | null },
): Promise<void> {
  const input = { username, password, inviteCode, setupToken, deviceName: "Web page" };
  storeSession(await runMutation(anonymousClient, Signup, { input }));
}

export async function signOut(client: Client): Promise<void> {
  await client.mutation(Logout, {}).toPromise();
  clearSession();
}

/** Sends a refresh token: over HTTP, or over an open socket, which extends the life of that socket. */
export type SendRefresh = (refreshToken: string) => Promise<SignInResult>;

const refreshOverHttp: SendRefresh = (refreshToken) =>
  runMutation(anonymousClient, RefreshSession, { input: { refreshToken } });

let pendingRefresh: Promise<void> | null = null;

/**
 * Refreshes the tokens. Signs out when the server rejects the refresh token. Never rejects: without an answer from the
 * server nothing changes. Tabs need no lock: within two minutes the server answers a repeated refresh token with the
 * same successor.
 */
export function refreshSession(sendRefresh: SendRefresh = refreshOverHttp): Promise<void> {
  pendingRefresh ??= refreshOnce(sendRefresh).finally(() => (pendingRefresh = null));
  return pendingRefresh;
}

async function refreshOnce(sendRefresh: SendRefresh): Promise<void> {
  const before = readStoredSession();
  if (!before) return session.set(null);
  try {
    storeSession(await sendRefresh(before.refreshToken));
  } catch (caught) {
    const isRejected = caught instanceof RequestError && !caught.retryable && caught.code !== "INTERNAL";
    // The rejected token may be outdated: another tab may have stored its successor in the meantime.
    if (isRejected && readStoredSession()?.refreshToken === before.refreshToken) clearSession();
  }
}
