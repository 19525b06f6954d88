/** The form in which the author edits a message. */
import type { TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Conversation } from "../state/conversation";
import type { Row } from "../state/timeline";
import { ErrorText } from "./ErrorText";
import { useAction } from "./useAction";

export function EditBox({ row, conversation }: { row: Row; conversation: Conversation }) {
  const textarea = useRef<HTMLTextAreaElement>(null);
  const action = useAction();
  useLayoutEffect(() => {
    textarea.current?.focus();
    textarea.current?.setSelectionRange(row.body?.length ?? 0, row.body?.length ?? 0);
  }, []);

  const close = () => {
    const hadFocus = textarea.current?.form?.contains(document.activeElement);
    conversation.editing.set(null);
    if (hadFocus) document.querySelector<HTMLTextAreaElement>(".composer textarea")?.focus();
  };
  const save = () =>
    action.run(async () => {
      const body = textarea.current?.value.trim() ?? "";
      if (body && body !== row.body) await conversation.edit(row.id, body);
      close();
    });
  const onKeyDown = (event: TargetedKeyboardEvent<HTMLTextAreaElement>) => {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      save();
    }
  };
  return (
    <form class="edit-box" onSubmit={(event) => (event.preventDefault(), save())}>
      <textarea ref={textarea} aria-label="Edit message" rows={2} defaultValue={row.body ?? ""} onKeyDown={onKeyDown} />
      <p class="hint">
        <button class="link">Save</button> (Enter) or{" "}
        <button type="button" class="link" onClick={close}>
          cancel
        </button>{" "}
        (Escape)
      </p>
      <ErrorText text={action.error} />
    </form>
  );
}
