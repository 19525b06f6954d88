/** Where the access token of requests comes from: a session of this client, or the program that uses it. */
import { RoomcastError } from "./errors.js";
import { readJson, type Storage } from "./storage.js";
import { Store } from "./store.js";

export interface Session {
  userId: string;
  accessToken: string;
}

interface StoredSession extends Session {
  refreshToken: string;
  /** Milliseconds since 1970, of this device's clock: when to renew the access token. */
  renewAt: number;
}

export interface TokenPair {
  accessToken: string;
  accessTokenExpiresAt: string;
  refreshToken: string;
}

/** Sends a refresh token. Throws RoomcastError. */
export type SendRefresh = (refreshToken: string) => Promise<{ userId: string; tokens: TokenPair }>;

/** `isExpired`: the server has just called the last token expired. */
export type GiveToken = (state: { isExpired: boolean }) => string | Promise<string>;

export interface Tokens {
  readonly session: Store<Session | null>;
  /**
   * A token that is valid now. `refused`: a token that the server has called expired. Throws RoomcastError
   * `UNAUTHENTICATED` when there is no session, or it has ended.
   */
  accessToken(refused?: string): Promise<string>;
  clear(): void;
  close(): void;
}

const KEY = "roomcast.session";
/** The share of a token's lifetime after which it is renewed. */
const RENEW_AT_SHARE = 0.8;

/** The tokens of a session, in a storage that all tabs share. One renewal runs at a time. */
export class TokenStore implements Tokens {
  readonly session: Store<StoredSession | null>;
  #renewal: Promise<void> | null = null;

  constructor(
    private readonly storage: Storage,
    private readonly send: SendRefresh,
  ) {
    this.session = new Store(readJson<StoredSession>(storage, KEY));
    globalThis.addEventListener?.("storage", this.#onStorage);
  }

  close(): void {
    globalThis.removeEventListener?.("storage", this.#onStorage);
  }

  /** Another tab has signed in, signed out, or renewed the tokens. */
  readonly #onStorage = (event: Event): void => {
    const { key } = event as StorageEvent;
    if (key === KEY || key === null) this.session.set(readJson<StoredSession>(this.storage, KEY));
  };

  store(userId: string, { accessToken, accessTokenExpiresAt, refreshToken }: TokenPair): void {
    const lifetimeMs = Date.parse(accessTokenExpiresAt) - Date.now();
    // A new token that seems to have expired: this device's clock is wrong. Then the server says when it has.
    const renewAt = lifetimeMs > 0 ? Date.now() + lifetimeMs * RENEW_AT_SHARE : Number.MAX_SAFE_INTEGER;
    const session = { userId, accessToken, refreshToken, renewAt };
    this.storage.setItem(KEY, JSON.stringify(session));
    this.session.set(session);
  }

  clear(): void {
    this.storage.removeItem(KEY);
    this.session.set(null);
  }

  async accessToken(refused?: string): Promise<string> {
    const session = this.session.get();
    if (session && session.accessToken !== refused && Date.now() < session.renewAt) return session.accessToken;
    if (session) {
      this.#renewal ??= this.#renew().finally(() => (this.#renewal = null));
      await this.#renewal;
    }
    const renewed = this.session.get();
    if (!renewed) throw new RoomcastError("UNAUTHENTICATED", "There is no session: sign in first.");
    return renewed.accessToken;
  }

  /**
   * Tabs need no lock: within two minutes the server answers a repeated refresh token with the same successor. So a
   * tab that renews at the same moment, or whose answer was lost, gets the same tokens.
   */
  async #renew(): Promise<void> {
    const before = readJson<StoredSession>(this.storage, KEY);
    if (!before) return this.session.set(null);
    try {
      const { userId, tokens } = await this.send(before.refreshToken);
      this.store(userId, tokens);
    } catch (error) {
      if (!(error instanceof RoomcastError) || error.isRetryable) throw error;
      // The token may be outdated: another tab may have stored its successor in the meantime.
      const now = readJson<StoredSession>(this.storage, KEY);
      if (now?.refreshToken === before.refreshToken) this.clear();
      else this.session.set(now);
    }
  }
}

/** The program gives the tokens, for example those that its own server has got for its user. */
export class GivenTokens implements Tokens {
  readonly session = new Store<Session | null>(null);
  #request: Promise<string> | null = null;

  constructor(
    private readonly give: GiveToken,
    private readonly userIdOf: (accessToken: string) => Promise<string>,
  ) {}

  async accessToken(refused?: string): Promise<string> {
    const session = this.session.get();
    if (session && session.accessToken !== refused) return session.accessToken;
    this.#request ??= this.#ask(refused !== undefined).finally(() => (this.#request = null));
    return this.#request;
  }

  clear(): void {
    this.session.set(null);
  }

  close(): void {}

  async #ask(isExpired: boolean): Promise<string> {
    const accessToken = await this.give({ isExpired });
    this.session.set({ userId: await this.userIdOf(accessToken), accessToken });
    return accessToken;
  }
}
