/** The hooks. Their functions stay the same between renders, so they may be dependencies of effects. */
import {
  emptyTimeline,
  RoomcastError,
  type ConnectionState,
  type OpenRoom,
  type PresentUser,
  type RoomSummary,
  type Session,
  type Timeline,
  type User,
} from "@roomcast/client";
import { useCallback, useMemo, useRef, useState } from "react";
import { useRoomcast, useShared, useStore } from "./shared.js";

const NO_TIMELINE = emptyTimeline();
const NO_USERS: readonly User[] = [];
const NO_PRESENT_USERS: readonly PresentUser[] = [];

/** The session, and whether the socket is connected. `session` is null without one, and when it has ended. */
export function useSession() {
  const roomcast = useRoomcast();
  const session: Session | null = useStore(roomcast.session, null);
  const connection: ConnectionState = useStore(roomcast.socket.connection, "closed");
  const actions = useMemo(
    () => ({
      login: roomcast.login.bind(roomcast),
      signup: roomcast.signup.bind(roomcast),
      logout: roomcast.logout.bind(roomcast),
    }),
    [roomcast],
  );
  return { session, connection, ...actions };
}

/** The rooms of the user, the most recently active first; null until they are loaded. */
export function useRooms(): readonly RoomSummary[] | null {
  const list = useShared("rooms", (roomcast) => roomcast.openRoomList());
  return useStore(list?.rooms, null);
}

/** What the user has not read: in one room, or in all of them. */
export function useUnread(roomId?: string): { unreadCount: number; mentionCount: number } {
  const rooms = useRooms();
  return useMemo(() => {
    const counted = (rooms ?? []).filter(({ id }) => roomId === undefined || id === roomId);
    return {
      unreadCount: counted.reduce((sum, room) => sum + (room.viewerMembership?.unreadCount ?? 0), 0),
      mentionCount: counted.reduce((sum, room) => sum + (room.viewerMembership?.mentionCount ?? 0), 0),
    };
  }, [rooms, roomId]);
}

/**
 * The messages of a room, or of a thread in it: history, then everything new. `unsent` are those of this device that
 * the server has not confirmed; one with a `failure` may be sent again by `retry` or given up by `discard`.
 */
export function useMessages(roomId: string, threadRootId?: string) {
  const roomcast = useRoomcast();
  const key = `room ${roomId} ${threadRootId ?? ""}`;
  const room = useShared<OpenRoom>(key, () => roomcast.openRoom(roomId, threadRootId ? { threadRootId } : {}));
  const { messages, unsent, before, endReason }: Timeline = useStore(room?.timeline, NO_TIMELINE);
  const error: RoomcastError | null = useStore(room?.error, null);
  const isLoaded: boolean = useStore(room?.isLoaded, false);
  const actions = useMemo(
    () => ({
      /** Shows the message at once, and sends it until the server has it. */
      send: (...[body, options]: Parameters<OpenRoom["send"]>) => room?.send(body, options),
      loadOlder: async () => room?.loadOlder(),
      markRead: async () => room?.markRead(),
      retry: (id: string) => roomcast.outbox.retry(id),
      discard: (id: string) => roomcast.outbox.discard(id),
    }),
    [room, roomcast],
  );
  return { messages, unsent, hasOlder: before !== null, endReason, error, isLoaded, ...actions };
}

/** Who else is typing. Call `setTyping` with each change of the text. */
export function useTyping(roomId: string) {
  const typing = useShared(`typing ${roomId}`, (roomcast) => roomcast.typing(roomId));
  const users = useStore(typing?.users, NO_USERS);
  // A signal that is lost is replaced by the next one.
  const setTyping = useCallback((isTyping: boolean) => void typing?.set(isTyping).catch(() => undefined), [typing]);
  return { users, setTyping };
}

/** The users of the room who are not offline, at most 100. */
export function usePresence(roomId: string): readonly PresentUser[] {
  const presence = useShared(`presence ${roomId}`, (roomcast) => roomcast.presence(roomId));
  return useStore(presence?.users, NO_PRESENT_USERS);
}

/** Uploads a file. `progress` is the share that has been sent, from 0 to 1; null while nothing is being sent. */
export function useUpload() {
  const roomcast = useRoomcast();
  const [progress, setProgress] = useState<number | null>(null);
  const [error, setError] = useState<RoomcastError | null>(null);
  const running = useRef<AbortController | null>(null);
  const cancel = useCallback(() => running.current?.abort(), []);
  /** Resolves to the id for `attachmentIds`, or to null when it was cancelled or refused: see `error`. */
  const upload = useCallback(
    async (file: Blob & { name?: string }): Promise<string | null> => {
      running.current?.abort();
      const current = (running.current = new AbortController());
      const isCurrent = () => running.current === current;
      setProgress(0);
      setError(null);
      try {
        const onProgress = (share: number) => isCurrent() && setProgress(share);
        return await roomcast.upload(file, { signal: current.signal, onProgress });
      } catch (caught) {
        if (isCurrent() && caught instanceof RoomcastError && caught.code !== "ABORTED") setError(caught);
        return null;
      } finally {
        if (isCurrent()) setProgress(null);
      }
    },
    [roomcast],
  );
  return { upload, cancel, progress, error };
}
