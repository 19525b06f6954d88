/** Who is writing just now, on a line that is always there, so that nothing moves. Not for screen readers: it never rests. */
import type { Person } from "../api/accounts";
import type { OpenedRoomState } from "../state/room";
import { useStore } from "../store";

export function TypingLine({ room }: { room: OpenedRoomState }) {
  const typists = useStore(room.signals.typists);
  return (
    <p class="typing" aria-hidden="true">
      {wordsFor(typists)}
    </p>
  );
}

function wordsFor([one, other, ...more]: readonly Person[]): string {
  if (!one) return "";
  if (!other) return `${one.displayName} is typing…`;
  if (more.length > 0) return "Several people are typing…";
  return `${one.displayName} and ${other.displayName} are typing…`;
}
