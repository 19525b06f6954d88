/** The client of roomcast for browsers and Node. Start with `createRoomcast`. */
export type {
  Attachment,
  Message,
  MessagePage,
  PresentUser,
  ReactionGroup,
  RoomEvent,
  RoomSummary,
  User,
} from "./documents.js";
export { MESSAGE_PARTS } from "./documents.js";
export { RoomcastError } from "./errors.js";
export type { Variables } from "./http.js";
export { OpenRoom, type OpenRoomOptions, type SendOptions } from "./room.js";
export { createRoomcast, type ExecuteOptions, type Roomcast, type RoomcastOptions } from "./roomcast.js";
export type { Presence } from "./presence.js";
export type { RoomList } from "./room-list.js";
export type { ConnectionState } from "./socket.js";
export { memoryStorage, type Storage } from "./storage.js";
export { Store } from "./store.js";
export { emptyTimeline, reduce, type Timeline, type TimelineAction, type UnsentMessage } from "./timeline.js";
export type { GiveToken, Session } from "./tokens.js";
export type { Typing } from "./typing.js";
export type { UploadOptions } from "./upload.js";
