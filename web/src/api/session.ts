/** Who is signed in, and with which tokens: kept for all tabs, renewed by whichever needs it first. */
import { Client, fetchExchange } from "@urql/core";
import { Store } from "../store";
import { Renew, SignIn, SignOut, SignUp, type Tokens } from "./accounts";
import { act, Refusal } from "./refusal";

export interface Session extends Tokens {
  userId: string;
  /** When the access token is to be renewed, in milliseconds: early enough that it does not expire on its way. */
  staleAt: number;
}

/** For everything that needs no sign-in, the renewing of tokens included. */
export const guest = new Client({ url: "/graphql", exchanges: [fetchExchange], preferGetMethod: false });

/** Of a token's life, the part in which it is used. */
const FRESH_SHARE = 0.9;
const KEY = "roomcast.session";

function stored(): Session | null {
  const text = localStorage.getItem(KEY);
  return text ? (JSON.parse(text) as Session) : null;
}

export const session = new Store<Session | null>(stored());

// Another tab has signed in, signed out, or renewed the tokens.
addEventListener("storage", ({ key }) => {
  if (key === KEY || key === null) session.set(stored());
});

interface SignedIn {
  user: { id: string } | null;
  tokens: Tokens | null;
}

export function keep({ user, tokens }: SignedIn): void {
  if (!user || !tokens) return;
  const life = Date.parse(tokens.accessTokenExpiresAt) - Date.now();
  const kept: Session = { userId: user.id, staleAt: Date.now() + life * FRESH_SHARE, ...tokens };
  localStorage.setItem(KEY, JSON.stringify(kept));
  session.set(kept);
}

/** Everything this page has stored is about who was signed in: drafts and unsent messages too. */
export function forget(): void {
  for (const key of Object.keys(localStorage)) if (key.startsWith("roomcast.")) localStorage.removeItem(key);
  session.set(null);
}

export function isStale(): boolean {
  return session.value !== null && session.value.staleAt < Date.now();
}

export async function signIn(usernameOrEmail: string, password: string): Promise<void> {
  keep(await act(guest, SignIn, { input: { usernameOrEmail, password, deviceName: "Web page" } }));
}

export async function signUp(
  username: string,
  password: string,
  { inviteCode, setupToken }: { inviteCode: string | null; setupToken: string | null },
): Promise<void> {
  const input = { username, password, inviteCode, setupToken, deviceName: "Web page" };
  keep(await act(guest, SignUp, { input }));
}

export async function signOut(client: Client): Promise<void> {
  await client.mutation(SignOut, {}).toPromise();
  forget();
}

/** How a renewal travels: over HTTP, or over an open socket, whose own life it then extends. */
export type Renewing = (refreshToken: string) => Promise<SignedIn>;

const overHttp: Renewing = (refreshToken) => act(guest, Renew, { input: { refreshToken } });

let underWay: Promise<void> | null = null;

/**
 * Gets new tokens; signed out afterwards if there are none to be had. Never raises: without an answer all stays.
 * Tabs need no lock between them: a refresh token presented twice within two minutes is answered with one successor.
 */
export function renew(renewing: Renewing = overHttp): Promise<void> {
  underWay ??= renewOnce(renewing).finally(() => (underWay = null));
  return underWay;
}

async function renewOnce(renewing: Renewing): Promise<void> {
  const before = stored();
  if (!before) return session.set(null);
  try {
    keep(await renewing(before.refreshToken));
  } catch (caught) {
    const isOver = caught instanceof Refusal && !caught.retryable && caught.code !== "INTERNAL";
    // Refused may also be a token that another tab has replaced since.
    if (isOver && stored()?.refreshToken === before.refreshToken) forget();
  }
}
