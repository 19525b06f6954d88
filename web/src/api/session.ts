/** Who is signed in, and with which tokens: kept for all tabs, renewed by whichever needs it first. */
import { Client, fetchExchange } from "@urql/core";
import { Store } from "../store";
import { RefreshSession, Login, Logout, Signup, type Tokens } from "./accounts";
import { runMutation, RequestError } from "./request";

export interface Session extends Tokens {
  userId: string;
  /** When the access token is to be renewed, in milliseconds: early enough that it does not expire on its way. */
  staleAt: number;
}

/** For everything that needs no sign-in, the renewing of tokens included. */
export const anonymousClient = new Client({ url: "/graphql", exchanges: [fetchExchange], preferGetMethod: false });

/** Of a token's life, the part in which it is used. */
const REFRESH_AT_SHARE = 0.9;
const STORAGE_KEY = "roomcast.session";

function readStoredSession(): Session | null {
  const text = localStorage.getItem(STORAGE_KEY);
  return text ? (JSON.parse(text) as Session) : null;
}

export const session = new Store<Session | null>(readStoredSession());

// Another tab has signed in, signed out, or renewed the tokens.
addEventListener("storage", ({ key }) => {
  if (key === STORAGE_KEY || key === null) session.set(readStoredSession());
});

interface SignInResult {
  user: { id: string } | null;
  tokens: Tokens | null;
}

export function storeSession({ user, tokens }: SignInResult): void {
  if (!user || !tokens) return;
  const lifetimeMs = Date.parse(tokens.accessTokenExpiresAt) - Date.now();
  const next: Session = { userId: user.id, staleAt: Date.now() + lifetimeMs * REFRESH_AT_SHARE, ...tokens };
  localStorage.setItem(STORAGE_KEY, JSON.stringify(next));
  session.set(next);
}

/** Everything this page has stored is about who was signed in: drafts and unsent messages too. */
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

/** How a renewal travels: over HTTP, or over an open socket, whose own life it then extends. */
export type SendRefresh = (refreshToken: string) => Promise<SignInResult>;

const refreshOverHttp: SendRefresh = (refreshToken) =>
  runMutation(anonymousClient, RefreshSession, { input: { refreshToken } });

let pendingRefresh: Promise<void> | null = null;

/**
 * Gets new tokens; signed out afterwards if there are none to be had. Never raises: without an answer all stays.
 * Tabs need no lock between them: a refresh token presented twice within two minutes is answered with one successor.
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
    // Refused may also be a token that another tab has replaced since.
    if (isRejected && readStoredSession()?.refreshToken === before.refreshToken) clearSession();
  }
}
