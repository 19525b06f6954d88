/** The actions on a message. They are visible while the message is hovered or has the keyboard focus. */
import { useEffect, useRef, useState } from "preact/hooks";
import { reportError } from "../api/request";
import { useChat } from "../state/chat";
import type { Conversation } from "../state/conversation";
import type { Row } from "../state/timeline";
import { useStore } from "../store";
import { EmojiPicker } from "./EmojiPicker";
import { IconButton } from "./IconButton";

interface Props {
  row: Row;
  conversation: Conversation;
  isTabbable: boolean;
  onError(text: string): void;
}

export function MessageTools({ row, conversation, isTabbable, onError }: Props) {
  const { userId } = useChat();
  const permissions = useStore(conversation.room.details)?.viewerPermissions;
  const [isPicking, setPicking] = useState(false);
  const [isConfirming, setConfirming] = useState(false);
  const tools = useRef<HTMLDivElement>(null);
  const isOwn = row.author?.id === userId;

  const run = (action: Promise<void>) => void reportError(action, onError);
  useEffect(() => {
    if (!isPicking) return;
    const close = (event: Event) => {
      if (!(event.target instanceof Node) || !tools.current?.contains(event.target)) setPicking(false);
    };
    document.addEventListener("pointerdown", close);
    return () => document.removeEventListener("pointerdown", close);
  }, [isPicking]);

  const remove = () => (isConfirming ? run(conversation.remove(row.id)) : setConfirming(true));
  const tabStop = { tabIndex: isTabbable ? 0 : -1 };
  return (
    <div
      class={`tools ${isPicking || isConfirming ? "open" : ""}`}
      ref={tools}
      onPointerLeave={() => setConfirming(false)}
    >
      {permissions?.canSend && (
        <>
          <IconButton
            icon="smile"
            name="Add reaction"
            aria-expanded={isPicking}
            {...tabStop}
            onClick={() => setPicking(!isPicking)}
          />
          <IconButton icon="reply" name="Reply" {...tabStop} onClick={() => conversation.replyTo.set(row)} />
        </>
      )}
      {!conversation.threadRootId && (
        <IconButton
          icon="thread"
          name="Open thread"
          {...tabStop}
          onClick={() => conversation.room.openThread(row.id)}
        />
      )}
      {permissions?.canPin && (
        <IconButton
          icon="pin"
          name={row.pinnedAt ? "Unpin" : "Pin"}
          {...tabStop}
          onClick={() => run(conversation.togglePin(row))}
        />
      )}
      {isOwn && permissions?.canSend && (
        <IconButton icon="edit" name="Edit" {...tabStop} onClick={() => conversation.editing.set(row.id)} />
      )}
      {(isOwn || permissions?.canDeleteOthersMessages) &&
        (isConfirming ? (
          <button type="button" class="danger" {...tabStop} onClick={remove}>
            Delete?
          </button>
        ) : (
          <IconButton icon="trash" name="Delete" {...tabStop} onClick={remove} />
        ))}
      {isPicking && (
        <EmojiPicker
          onPick={(emoji) => {
            setPicking(false);
            run(conversation.toggleReaction(row, emoji));
          }}
          onClose={() => setPicking(false)}
        />
      )}
    </div>
  );
}
