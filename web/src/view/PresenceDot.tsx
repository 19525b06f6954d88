/** Whether somebody is here: a dot, and the word for who does not see it or its colour. */
import type { OpenedRoomState } from "../state/room";
import { useStore } from "../store";

const WORDS = { ACTIVE: "Active", IDLE: "Idle", OFFLINE: "Away" } as const;

export function PresenceDot({ room, userId }: { room: OpenedRoomState; userId: string }) {
  const state = useStore(room.signals.present).get(userId) ?? "OFFLINE";
  return <span class={`dot ${state.toLowerCase()}`} role="img" aria-label={WORDS[state]} title={WORDS[state]} />;
}
