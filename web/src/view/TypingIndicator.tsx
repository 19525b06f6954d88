/** Who is typing. Always takes one line, so that nothing moves. Hidden from screen readers: it changes too often. */
import type { UserSummary } from "../api/accounts";
import type { RoomState } from "../state/room";
import { useStore } from "../store";

export function TypingIndicator({ room }: { room: RoomState }) {
  const users = useStore(room.signals.typingUsers);
  return (
    <p class="typing" aria-hidden="true">
      {typingText(users)}
    </p>
  );
}

function typingText([one, other, ...more]: readonly UserSummary[]): string {
  if (!one) return "";
  if (!other) return `${one.displayName} is typing…`;
  if (more.length > 0) return "Several people are typing…";
  return `${one.displayName} and ${other.displayName} are typing…`;
}
