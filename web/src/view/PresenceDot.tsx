/** A dot for the presence of a user, with a label for screen readers. */
import type { RoomState } from "../state/room";
import { useStore } from "../store";

const LABELS = { ACTIVE: "Active", IDLE: "Idle", OFFLINE: "Away" } as const;

export function PresenceDot({ room, userId }: { room: RoomState; userId: string }) {
  const state = useStore(room.signals.presence).get(userId) ?? "OFFLINE";
  return <span class={`dot ${state.toLowerCase()}`} role="img" aria-label={LABELS[state]} title={LABELS[state]} />;
}
