/** What one may do with a message, shown while it is pointed at or chosen by keyboard. */
import { useEffect, useRef, useState } from "preact/hooks";
import { said } from "../api/refusal";
import { useChat } from "../state/chat";
import type { Conversation } from "../state/conversation";
import { useStore } from "../store";
import type { Row } from "../state/timeline";
import { EmojiPicker } from "./EmojiPicker";
import { IconButton } from "./IconButton";

interface Props {
  row: Row;
  conversation: Conversation;
  isReachable: boolean;
  onFailure(words: string): void;
}

export function MessageTools({ row, conversation, isReachable, onFailure }: Props) {
  const { userId } = useChat();
  const may = useStore(conversation.room.facts)?.viewerPermissions;
  const [isPicking, setPicking] = useState(false);
  const [isSure, setSure] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  const isMine = row.author?.id === userId;

  const attempt = (doing: Promise<void>) =>
    doing.then(
      () => onFailure(""),
      (caught: unknown) => onFailure(said(caught)),
    );
  useEffect(() => {
    if (!isPicking) return;
    const close = (event: Event) => {
      if (!(event.target instanceof Node) || !place.current?.contains(event.target)) setPicking(false);
    };
    document.addEventListener("pointerdown", close);
    return () => document.removeEventListener("pointerdown", close);
  }, [isPicking]);

  const remove = () => (isSure ? void attempt(conversation.remove(row.id)) : setSure(true));
  const tab = { tabIndex: isReachable ? 0 : -1 };
  return (
    <div class={`tools ${isPicking || isSure ? "open" : ""}`} ref={place} onPointerLeave={() => setSure(false)}>
      {may?.canSend && (
        <>
          <IconButton
            icon="smile"
            name="Add reaction"
            aria-expanded={isPicking}
            {...tab}
            onClick={() => setPicking(!isPicking)}
          />
          <IconButton icon="reply" name="Reply" {...tab} onClick={() => conversation.replyTo.set(row)} />
        </>
      )}
      {!conversation.threadRootId && (
        <IconButton icon="thread" name="Open thread" {...tab} onClick={() => conversation.room.openThread(row.id)} />
      )}
      {may?.canPin && (
        <IconButton
          icon="pin"
          name={row.pinnedAt ? "Unpin" : "Pin"}
          {...tab}
          onClick={() => void attempt(conversation.togglePin(row))}
        />
      )}
      {isMine && may?.canSend && (
        <IconButton icon="edit" name="Edit" {...tab} onClick={() => conversation.editing.set(row.id)} />
      )}
      {(isMine || may?.canDeleteOthersMessages) &&
        (isSure ? (
          <button type="button" class="danger" {...tab} onClick={remove}>
            Delete?
          </button>
        ) : (
          <IconButton icon="trash" name="Delete" {...tab} onClick={remove} />
        ))}
      {isPicking && (
        <EmojiPicker
          onPick={(emoji) => {
            setPicking(false);
            void attempt(conversation.toggleReaction(row, emoji));
          }}
          onClose={() => setPicking(false)}
        />
      )}
    </div>
  );
}
