/** Where one writes: Enter sends, the text stays until then, and what failed can be taken up again above. */
import type { TargetedClipboardEvent, TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import type { Conversation } from "../state/conversation";
import { draftOf, keepDraft } from "../state/drafts";
import type { Outbox } from "../state/unsent";
import { useStore } from "../store";
import { ComposerFiles } from "./ComposerFiles";
import { FilePicker } from "./FilePicker";
import { Icon } from "./Icon";
import { IconButton } from "./IconButton";
import { nameOf } from "./names";
import { Quote } from "./Quote";
import { useUploads } from "./useUploads";

interface Props {
  conversation: Conversation;
  outbox: Outbox;
}

export function Composer({ conversation, outbox }: Props) {
  const { userId } = useChat();
  const { room, threadRootId, place } = conversation;
  const facts = useStore(room.facts);
  const replyTo = useStore(conversation.replyTo);
  const [text, setText] = useState(() => draftOf(place));
  const [isWaiting, setWaiting] = useState(false);
  const box = useRef<HTMLTextAreaElement>(null);
  const uploads = useUploads(room.client);
  const may = facts?.viewerPermissions;

  useLayoutEffect(() => grow(box.current), [text]);
  useLayoutEffect(() => {
    if (replyTo) box.current?.focus();
  }, [replyTo]);

  const write = (words: string) => {
    setWaiting(false);
    setText(words);
    keepDraft(place, words);
    if (!threadRootId) room.signals.writes(words.trim() === "");
  };
  const isEmpty = text.trim() === "" && uploads.files.length === 0;
  const send = () => {
    if (isEmpty || uploads.hasFailed) return;
    if (!uploads.isReady) return setWaiting(true);
    setWaiting(false);
    const answered = replyTo && { id: replyTo.id, body: replyTo.body, author: replyTo.author };
    outbox.say(room.id, { body: text.trim(), replyTo: answered, threadRootId, files: uploads.sent() });
    room.signals.sent();
    write("");
    uploads.clear();
    conversation.replyTo.set(null);
    box.current?.focus();
  };
  // Sent already, but for the files that were still on their way.
  useEffect(() => {
    if (isWaiting && uploads.isReady) send();
  }, [isWaiting, uploads.isReady]);

  const editLast = () => {
    const mine = conversation.line.value.rows.findLast((row) => row.author?.id === userId && !row.deletedAt);
    if (mine) conversation.editing.set(mine.id);
  };
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLTextAreaElement>) => {
    if (event.isComposing) return; // an input method is still choosing its words
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
    if (files.length === 0 || !may?.canUpload) return;
    event.preventDefault();
    uploads.add(files);
  };

  if (facts && !may?.canSend) {
    return <p class="composer closed">{facts.archivedAt ? "This room is archived." : "You may only read here."}</p>;
  }
  const label = threadRootId ? "Reply in thread" : `Message ${facts ? nameOf(facts) : ""}`;
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), send())}>
      {replyTo && (
        <div class="replying">
          <Quote quoted={replyTo} />
          <IconButton icon="close" name="Do not reply" onClick={() => conversation.replyTo.set(null)} />
        </div>
      )}
      <ComposerFiles uploads={uploads} />
      <div class="writing">
        {may?.canUpload && <FilePicker onPick={uploads.add} />}
        <textarea
          ref={box}
          rows={1}
          aria-label={label}
          placeholder={label}
          value={text}
          onInput={({ currentTarget }) => write(currentTarget.value)}
          onKeyDown={onKeyDown}
          onPaste={onPaste}
        />
        <button class="send" aria-label="Send" title="Send" disabled={isEmpty || isWaiting || uploads.hasFailed}>
          <Icon name="send" />
        </button>
      </div>
    </form>
  );
}

/** As high as what is written; the styles set the limit. */
function grow(area: HTMLTextAreaElement | null): void {
  if (!area) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
