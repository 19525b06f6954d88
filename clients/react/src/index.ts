/** React hooks for roomcast. Put a `<RoomcastProvider roomcast={createRoomcast({ url })}>` around your components. */
export { useMessages, usePresence, useRooms, useSession, useTyping, useUnread, useUpload } from "./hooks.js";
export { RoomcastProvider, useRoomcast } from "./shared.js";
