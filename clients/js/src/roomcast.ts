/** `createRoomcast`: a session, its requests, its socket and its outbox. */
import type { Client } from "graphql-ws";
import {
  CREATE_ROOM,
  JOIN_ROOM,
  LOGIN,
  LOGOUT,
  REFRESH,
  ROOM,
  ROOMS,
  SEND_MESSAGE,
  SIGNUP,
  VIEWER,
  type Message,
  type RoomSummary,
} from "./documents.js";
import { RoomcastError } from "./errors.js";
import { post, type Variables } from "./http.js";
import { Outbox } from "./outbox.js";
import { Presence } from "./presence.js";
import { repeatUntilAnswered } from "./retry.js";
import { RoomList } from "./room-list.js";
import { OpenRoom, type OpenRoomOptions } from "./room.js";
import { openSocket, type Socket } from "./socket.js";
import { memoryStorage, type Storage } from "./storage.js";
import type { Store } from "./store.js";
import type { UnsentMessage } from "./timeline.js";
import { GivenTokens, TokenStore, type GiveToken, type Session, type TokenPair, type Tokens } from "./tokens.js";
import { Typing } from "./typing.js";
import { upload, type UploadOptions } from "./upload.js";
import { uuid } from "./uuid.js";

export interface RoomcastOptions {
  /** The address of the server, for example `https://chat.example.org`. In a page of the server: `location.origin`. */
  url: string;
  /** Where access tokens come from, instead of `login`: one token, or a function that is called when one is needed. */
  token?: string | GiveToken;
  /** Where tokens and unsent messages are stored. Default: `localStorage` where there is one, else the memory. */
  storage?: Storage;
  /** A class `WebSocket`, where the platform has none (Node before 22). */
  webSocketImpl?: unknown;
  /** How long one request may take. */
  timeoutMs?: number;
  /** How long a request is repeated while the server is away. */
  retryMs?: number;
}

export interface ExecuteOptions {
  /**
   * The document may be sent again when no answer came: queries, and mutations that change nothing when they are
   * repeated, because they set a state or have an idempotency key.
   */
  isRepeatable?: boolean;
}

type SignedIn = { user: { id: string }; tokens: TokenPair };
type SentListener = (message: Message) => void;

export function createRoomcast(options: RoomcastOptions): Roomcast {
  return new Roomcast(options);
}

/** All methods throw RoomcastError when the server refuses. Close it when it is not used any more. */
export class Roomcast {
  readonly url: string;
  /** Whether this client signs in by itself; false if it was given tokens. */
  readonly canSignIn: boolean;
  /** Null without a session, and when it has ended. With given tokens: null until the first one has come. */
  readonly session: Store<Session | null>;
  readonly socket: Socket;
  readonly outbox: Outbox;
  readonly #tokens: Tokens;
  readonly #timeoutMs: number;
  readonly #retryMs: number;
  readonly #closed = new AbortController();
  readonly #sentListeners = new Map<string, Set<SentListener>>();

  constructor({ url, token, storage, webSocketImpl, timeoutMs = 20_000, retryMs = 60_000 }: RoomcastOptions) {
    this.url = url.replace(/\/$/, "");
    this.#timeoutMs = timeoutMs;
    this.#retryMs = retryMs;
    const stored = storage ?? globalThis.localStorage ?? memoryStorage();
    this.#tokens = token === undefined ? this.#storedTokens(stored) : this.#givenTokens(token);
    this.canSignIn = token === undefined;
    this.session = this.#tokens.session;
    const socketUrl = `${this.url.replace(/^http/, "ws")}/graphql`;
    this.socket = openSocket(socketUrl, this.#tokens, webSocketImpl ? { webSocketImpl } : {});
    this.outbox = new Outbox(
      stored,
      (unsent) => this.#send(unsent),
      (roomId, message) => this.#sentListeners.get(roomId)?.forEach((listener) => listener(message)),
    );
    // A user has signed in, here or in another tab, or the first token has come.
    let userId: string | undefined;
    const startOutbox = () => {
      const now = this.session.get()?.userId;
      if (now !== undefined && now !== userId) this.outbox.start(now);
      userId = now;
    };
    this.session.subscribe(startOutbox);
    startOutbox();
  }

  #storedTokens(storage: Storage): TokenStore {
    return new TokenStore(storage, async (refreshToken) => {
      const input = { refreshToken };
      const { refreshSession } = await this.#anonymous<{ refreshSession: SignedIn }>(REFRESH, input, this.#retryMs);
      return { userId: refreshSession.user.id, tokens: refreshSession.tokens };
    });
  }

  #givenTokens(token: string | GiveToken): GivenTokens {
    const give: GiveToken =
      typeof token === "function"
        ? token
        : ({ isExpired }) => {
            if (isExpired) throw new RoomcastError("TOKEN_EXPIRED", "The token that was given has expired.");
            return token;
          };
    return new GivenTokens(give, async (accessToken) => {
      const request = () => this.#post<{ viewer: { user: { id: string } } | null }>(VIEWER, {}, accessToken);
      const { viewer } = await repeatUntilAnswered(request, this.#retryMs, this.#closed.signal);
      if (!viewer) throw new RoomcastError("UNAUTHENTICATED", "The token that was given is not of a user.");
      return viewer.user.id;
    });
  }

  /** Ends all streams, and repeats no request any more. What has been sent is not taken back. */
  close(): void {
    this.#closed.abort();
    this.outbox.close();
    this.#tokens.close();
    Promise.resolve(this.socket.client.dispose()).catch(() => undefined); // it was connecting, in vain
  }

  /** The resuming graphql-ws client, for Apollo's GraphQLWsLink, urql's subscriptionExchange and Relay. */
  get graphqlWs(): Client {
    return this.socket.client;
  }

  // ---------------------------------------------------------------- the session

  /** `more`: the other fields of `SignupInput`. */
  async signup(username: string, password: string, more: Variables = {}): Promise<void> {
    const own = this.#ownTokens();
    const { signup } = await this.#anonymous<{ signup: SignedIn }>(SIGNUP, { username, password, ...more }, 0);
    own.store(signup.user.id, signup.tokens);
  }

  async login(usernameOrEmail: string, password: string, deviceName: string | null = null): Promise<void> {
    const own = this.#ownTokens();
    const input = { usernameOrEmail, password, deviceName };
    const { login } = await this.#anonymous<{ login: SignedIn }>(LOGIN, input, this.#retryMs);
    own.store(login.user.id, login.tokens);
  }

  /** Ends the session, and forgets the unsent messages. */
  async logout(): Promise<void> {
    await this.execute(LOGOUT);
    this.outbox.clear();
    this.#tokens.clear();
  }

  #ownTokens(): TokenStore {
    if (this.#tokens instanceof TokenStore) return this.#tokens;
    throw new RoomcastError("FORBIDDEN", "This client was made with a token: it cannot sign in.");
  }

  // ---------------------------------------------------------------- rooms

  /** All rooms of the user, the most recently active first. */
  async rooms(): Promise<RoomSummary[]> {
    type Page = { rooms: { nodes: RoomSummary[]; pageInfo: { hasNextPage: boolean; endCursor: string } } };
    const found: RoomSummary[] = [];
    let after: string | null = null;
    do {
      const { rooms }: Page = await this.execute<Page>(ROOMS, { after }, { isRepeatable: true });
      found.push(...rooms.nodes);
      after = rooms.pageInfo.hasNextPage ? rooms.pageInfo.endCursor : null;
    } while (after !== null);
    return found;
  }

  async room(id: string): Promise<RoomSummary> {
    return (await this.execute<{ room: RoomSummary }>(ROOM, { id }, { isRepeatable: true })).room;
  }

  /** `more`: the other fields of `CreateRoomInput`. */
  async createRoom(name: string, more: Variables = {}): Promise<RoomSummary> {
    const input = { name, idempotencyKey: uuid(), ...more };
    const options = { isRepeatable: true };
    return (await this.execute<{ createRoom: { room: RoomSummary } }>(CREATE_ROOM, { input }, options)).createRoom.room;
  }

  /** Join a public room by its id, or any room by an invite. */
  async join(by: { roomId: string } | { inviteCode: string }): Promise<RoomSummary> {
    const options = { isRepeatable: true };
    return (await this.execute<{ joinRoom: { room: RoomSummary } }>(JOIN_ROOM, { input: by }, options)).joinRoom.room;
  }

  /** Loads the newest messages, and follows the room until it is closed. */
  openRoom(roomId: string, options: OpenRoomOptions = {}): OpenRoom {
    return new OpenRoom(this, roomId, options);
  }

  /** Loads the rooms of the user with their unread counts, and keeps them current until it is closed. */
  openRoomList(): RoomList {
    return new RoomList(this);
  }

  /** Who is there in a room, until it is closed. */
  presence(roomId: string): Presence {
    return new Presence(this, roomId);
  }

  typing(roomId: string): Typing {
    return new Typing(this, roomId);
  }

  /** Returns the id for `attachmentIds`. */
  upload(file: Blob & { name?: string }, options: UploadOptions = {}): Promise<string> {
    return upload(this, file, options);
  }

  /** Calls the listener with each message of this device that the server has stored in the room. */
  onSent(roomId: string, listener: SentListener): () => void {
    const listeners = this.#sentListeners.get(roomId) ?? new Set();
    this.#sentListeners.set(roomId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#sentListeners.delete(roomId);
    };
  }

  // ---------------------------------------------------------------- documents

  /**
   * Executes a query or mutation of your own. Select `errors { code message path retryable retryAfterMs }` in payloads:
   * they are thrown.
   */
  execute<Data>(
    query: string,
    variables: Variables = {},
    { isRepeatable = false }: ExecuteOptions = {},
  ): Promise<Data> {
    const userId = this.session.get()?.userId;
    const limitMs = isRepeatable ? this.#retryMs : 0;
    return repeatUntilAnswered(() => this.#attempt<Data>(query, variables, userId), limitMs, this.#closed.signal);
  }

  /** `userId`: who has to be signed in. A request is repeated with another token only for the same user. */
  async #attempt<Data>(query: string, variables: Variables, userId?: string): Promise<Data> {
    const token = await this.#tokens.accessToken();
    const wanted = userId ?? this.session.get()?.userId;
    this.#checkUser(wanted);
    try {
      return await this.#post<Data>(query, variables, token);
    } catch (error) {
      const code = error instanceof RoomcastError ? error.code : "";
      const isOfFormerSession = code === "UNAUTHENTICATED" && this.session.get() !== null;
      if (code !== "TOKEN_EXPIRED" && !isOfFormerSession) throw error; // else nothing was executed
    }
    const renewed = await this.#tokens.accessToken(token);
    this.#checkUser(wanted);
    return this.#post<Data>(query, variables, renewed);
  }

  #checkUser(userId: string | undefined): void {
    if (this.session.get()?.userId !== userId)
      throw new RoomcastError("UNAUTHENTICATED", "Another user has signed in meanwhile.");
  }

  async #post<Data>(query: string, variables: Variables, token: string): Promise<Data> {
    try {
      return await post<Data>(`${this.url}/graphql`, query, variables, token, this.#timeoutMs);
    } catch (error) {
      const isOver = error instanceof RoomcastError && error.code === "UNAUTHENTICATED";
      if (isOver && this.session.get()?.accessToken === token) this.#tokens.clear();
      throw error;
    }
  }

  #anonymous<Data>(query: string, input: Variables, retryMs: number): Promise<Data> {
    const request = () => post<Data>(`${this.url}/graphql`, query, { input }, null, this.#timeoutMs);
    return repeatUntilAnswered(request, retryMs, this.#closed.signal);
  }

  async #send(unsent: UnsentMessage): Promise<Message> {
    const { id, userId, roomId, body, replyToId, threadRootId, attachmentIds } = unsent;
    const input = { roomId, body, replyToId, threadRootId, clientMessageId: id.slice("msg_".length), attachmentIds };
    const answer = await this.#attempt<{ sendMessage: { message: Message } }>(SEND_MESSAGE, { input }, userId);
    return answer.sendMessage.message;
  }
}
