/** The reactions to a message. A click adds or removes the viewer's own. */
import { reportError } from "../api/request";
import type { Conversation } from "../state/conversation";
import type { Row } from "../state/timeline";

interface Props {
  row: Row;
  conversation: Conversation;
  isTabbable: boolean;
  onError(text: string): void;
}

export function Reactions({ row, conversation, isTabbable, onError }: Props) {
  if (row.reactions.length === 0) return null;
  const toggle = (emoji: string) => void reportError(conversation.toggleReaction(row, emoji), onError);
  return (
    <div class="reactions">
      {row.reactions.map(({ emoji, count, viewerHasReacted }) => (
        <button
          key={emoji}
          type="button"
          class="reaction"
          aria-pressed={viewerHasReacted}
          aria-label={`${emoji} ${count}`}
          tabIndex={isTabbable ? 0 : -1}
          onClick={() => toggle(emoji)}
        >
          <span>{emoji}</span> {count}
        </button>
      ))}
    </div>
  );
}
