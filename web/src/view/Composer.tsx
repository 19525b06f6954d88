/** The composer of a room or thread. Enter sends; the text is stored as a draft until then. */
import type { TargetedClipboardEvent, TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import type { Conversation } from "../state/conversation";
import { readDraft, saveDraft } from "../state/drafts";
import type { Outbox } from "../state/outbox";
import { useStore } from "../store";
import { ComposerFiles } from "./ComposerFiles";
import { FilePicker } from "./FilePicker";
import { roomName } from "./format";
import { Icon } from "./Icon";
import { IconButton } from "./IconButton";
import { Quote } from "./Quote";
import { useUploads } from "./useUploads";

interface Props {
  conversation: Conversation;
  outbox: Outbox;
}

export function Composer({ conversation, outbox }: Props) {
  const { userId } = useChat();
  const { room, threadRootId, draftKey } = conversation;
  const details = useStore(room.details);
  const replyTo = useStore(conversation.replyTo);
  const [text, setText] = useState(() => readDraft(draftKey));
  const [isWaitingForFiles, setWaitingForFiles] = useState(false);
  const textarea = useRef<HTMLTextAreaElement>(null);
  const uploads = useUploads(room.client);
  const permissions = details?.viewerPermissions;

  useLayoutEffect(() => fitHeight(textarea.current), [text]);
  useLayoutEffect(() => {
    if (replyTo) textarea.current?.focus();
  }, [replyTo]);

  const changeText = (next: string) => {
    setWaitingForFiles(false);
    setText(next);
    saveDraft(draftKey, next);
    if (!threadRootId) room.signals.onDraftChange(next.trim() === "");
  };
  const isEmpty = text.trim() === "" && uploads.files.length === 0;
  const send = () => {
    if (isEmpty || uploads.hasFailed) return;
    if (!uploads.isReady) return setWaitingForFiles(true);
    setWaitingForFiles(false);
    const quoted = replyTo && { id: replyTo.id, body: replyTo.body, author: replyTo.author };
    outbox.send(room.id, { body: text.trim(), replyTo: quoted, threadRootId, files: uploads.uploaded() });
    room.signals.onMessageSent();
    changeText("");
    uploads.clear();
    conversation.replyTo.set(null);
    textarea.current?.focus();
  };
  // The viewer has sent the message already; it was waiting for the uploads.
  useEffect(() => {
    if (isWaitingForFiles && uploads.isReady) send();
  }, [isWaitingForFiles, uploads.isReady]);

  const editLast = () => {
    const lastOwn = conversation.timeline.value.rows.findLast((row) => row.author?.id === userId && !row.deletedAt);
    if (lastOwn) conversation.editing.set(lastOwn.id);
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLTextAreaElement>) => {
    if (event.isComposing) return; // Enter belongs to the input method, which is still composing
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && !text && !event.altKey) {
      event.preventDefault();
      editLast();
    } else if (event.key === "Escape" && replyTo) {
      event.stopPropagation();
      conversation.replyTo.set(null);
    }
  };
  const onPaste = (event: TargetedClipboardEvent<HTMLTextAreaElement>) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0 || !permissions?.canUpload) return;
    event.preventDefault();
    uploads.add(files);
  };

  if (details && !permissions?.canSend) {
    return <p class="composer closed">{details.archivedAt ? "This room is archived." : "You may only read here."}</p>;
  }
  const label = threadRootId ? "Reply in thread" : `Message ${details ? roomName(details) : ""}`;
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), send())}>
      {replyTo && (
        <div class="replying">
          <Quote quoted={replyTo} />
          <IconButton icon="close" name="Do not reply" onClick={() => conversation.replyTo.set(null)} />
        </div>
      )}
      <ComposerFiles uploads={uploads} />
      <div class="input-row">
        {permissions?.canUpload && <FilePicker onPick={uploads.add} />}
        <textarea
          ref={textarea}
          rows={1}
          aria-label={label}
          placeholder={label}
          value={text}
          onInput={({ currentTarget }) => changeText(currentTarget.value)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <button
          class="send"
          aria-label="Send"
          title="Send"
          disabled={isEmpty || isWaitingForFiles || uploads.hasFailed}
        >
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}

/** Fits the height to the text. The style sheet sets the maximum. */
function fitHeight(area: HTMLTextAreaElement | null): void {
  if (!area) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
