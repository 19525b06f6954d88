/** The documents that the client sends, and the types of their answers. */

export interface User {
  id: string;
  username: string;
  displayName: string;
}

export interface ReactionGroup {
  emoji: string;
  count: number;
}

export interface Attachment {
  id: string;
  filename: string;
  contentType: string;
  byteSize: number;
}

/** `body` is Markdown, `bodyHtml` the same as safe HTML; both are null if the message is deleted. */
export interface Message {
  id: string;
  seq: number;
  kind: string;
  body: string | null;
  bodyHtml: string | null;
  createdAt: string;
  editedAt: string | null;
  deletedAt: string | null;
  pinnedAt: string | null;
  revision: number;
  threadRootId: string | null;
  author: User | null;
  replyTo: { id: string; body: string | null; author: User | null } | null;
  reactions: readonly ReactionGroup[];
  attachments: readonly Attachment[];
}

export interface RoomSummary {
  id: string;
  kind: string;
  name: string | null;
  topic: string | null;
  lastActivityAt: string;
  directPeers: readonly User[];
  viewerMembership: { unreadCount: number; mentionCount: number; lastReadSeq: number } | null;
}

export interface RoomUnread {
  roomId: string;
  unreadCount: number;
  mentionCount: number;
  lastReadSeq: number;
}

export type InboxEvent =
  | { __typename: "InboxSnapshot"; rooms: readonly RoomUnread[] }
  | { __typename: "UnreadChanged"; unread: RoomUnread }
  | { __typename: "RoomListChanged"; roomId: string; room: RoomSummary | null };

/** `state`: ACTIVE or IDLE; users who are OFFLINE are not listed. */
export interface PresentUser extends User {
  presence: { state: string; statusText: string | null; statusEmoji: string | null };
}

export interface MessagePage {
  nodes: readonly Message[];
  pageInfo: { hasPreviousPage: boolean; startCursor: string | null };
  streamCursor: string;
}

interface EventBase {
  roomId: string;
  cursor: string;
  at: string;
  replayed: boolean;
}

/** The events of a room. Newer servers may send kinds that are not listed here: give each `switch` a default branch. */
export type RoomEvent = EventBase &
  (
    | { __typename: "MessageCreated"; message: Message }
    | { __typename: "MessageUpdated"; message: Message; updateReason: string }
    | { __typename: "MessageDeleted"; message: Message }
    | { __typename: "ReactionChanged"; messageId: string; emoji: string; added: boolean; count: number; user: User }
    | { __typename: "MemberChanged"; user: User; change: string; role: string | null }
    | { __typename: "RoomChanged"; room: { id: string; name: string | null; topic: string | null } }
    | { __typename: "StreamReady"; recovered: boolean; replayedCount: number }
    | { __typename: "StreamEnded"; reason: string }
  );

const USER = "id username displayName";
const ERRORS = "errors { code message path retryable retryAfterMs }";
const TOKENS = "tokens { accessToken accessTokenExpiresAt refreshToken }";

/** Nothing in it depends on the viewer, so the server executes it once for all subscribers. */
export const MESSAGE_PARTS = `fragment MessageParts on Message {
  id seq kind body bodyHtml createdAt editedAt deletedAt pinnedAt revision threadRootId
  author { ${USER} } replyTo { id body author { ${USER} } } reactions { emoji count }
  attachments { id filename contentType byteSize }
}`;

const ROOM_PARTS = `fragment RoomParts on Room {
  id kind name topic lastActivityAt directPeers { ${USER} }
  viewerMembership { unreadCount mentionCount lastReadSeq }
}`;

export const SIGNUP = `mutation Signup($input: SignupInput!) { signup(input: $input) { ${ERRORS} user { id } ${TOKENS} } }`;
export const LOGIN = `mutation Login($input: LoginInput!) { login(input: $input) { ${ERRORS} user { id } ${TOKENS} } }`;
export const LOGOUT = `mutation Logout { logout { ${ERRORS} } }`;
export const REFRESH = `mutation Refresh($input: RefreshSessionInput!) {
  refreshSession(input: $input) { ${ERRORS} user { id } ${TOKENS} }
}`;
export const VIEWER = `query Viewer { viewer { user { id } } }`;
export const ROOMS = `query Rooms($after: String) {
  rooms(first: 100, after: $after) { nodes { ...RoomParts } pageInfo { hasNextPage endCursor } }
} ${ROOM_PARTS}`;
export const ROOM = `query Room($id: ID!) { room(id: $id) { ...RoomParts } } ${ROOM_PARTS}`;
export const CREATE_ROOM = `mutation CreateRoom($input: CreateRoomInput!) {
  createRoom(input: $input) { ${ERRORS} room { ...RoomParts } }
} ${ROOM_PARTS}`;
export const JOIN_ROOM = `mutation JoinRoom($input: JoinRoomInput!) {
  joinRoom(input: $input) { ${ERRORS} room { ...RoomParts } }
} ${ROOM_PARTS}`;
export const MESSAGES = `query Messages($roomId: ID!, $last: Int!, $before: String, $threadRootId: ID) {
  messages(roomId: $roomId, last: $last, before: $before, threadRootId: $threadRootId) {
    nodes { ...MessageParts } pageInfo { hasPreviousPage startCursor } streamCursor
  }
} ${MESSAGE_PARTS}`;
export const SEND_MESSAGE = `mutation SendMessage($input: SendMessageInput!) {
  sendMessage(input: $input) { ${ERRORS} message { ...MessageParts } }
} ${MESSAGE_PARTS}`;
export const MARK_READ = `mutation MarkRead($input: MarkReadInput!) { markRead(input: $input) { ${ERRORS} } }`;
export const CREATE_UPLOAD = `mutation CreateUpload($input: CreateUploadInput!) {
  createUpload(input: $input) { ${ERRORS} uploadId uploadUrl headers { name value } }
}`;
export const SET_TYPING = `mutation SetTyping($input: SetTypingInput!) { setTyping(input: $input) { ${ERRORS} } }`;
export const TYPING = `subscription Typing($roomId: ID!) { typing(roomId: $roomId) { users { ${USER} } expiresInMs } }`;
export const ROOM_EVENTS = `subscription RoomEvents($roomId: ID!, $after: Cursor) {
  roomEvents(roomId: $roomId, after: $after) {
    __typename roomId cursor at replayed
    ... on MessageCreated { message { ...MessageParts } }
    ... on MessageUpdated { message { ...MessageParts } updateReason }
    ... on MessageDeleted { message { ...MessageParts } }
    ... on ReactionChanged { messageId emoji added count user { ${USER} } }
    ... on MemberChanged { user { ${USER} } change role }
    ... on RoomChanged { room { id name topic } }
    ... on StreamReady { recovered replayedCount }
    ... on StreamEnded { reason }
  }
} ${MESSAGE_PARTS}`;
export const INBOX_EVENTS = `subscription Inbox {
  inboxEvents {
    __typename
    ... on InboxSnapshot { rooms { ...UnreadParts } }
    ... on UnreadChanged { unread { ...UnreadParts } }
    ... on RoomListChanged { roomId room { ...RoomParts } }
  }
}
fragment UnreadParts on RoomUnread { roomId unreadCount mentionCount lastReadSeq } ${ROOM_PARTS}`;
export const PRESENCE = `subscription Presence($roomId: ID!) {
  presence(roomId: $roomId) { snapshot users { ${USER} presence { state statusText statusEmoji } } }
}`;
export const SET_PRESENCE = `mutation SetPresence($input: SetPresenceInput!) {
  setPresence(input: $input) { ${ERRORS} }
}`;
