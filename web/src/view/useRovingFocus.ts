/** One tab stop for a list of messages: the arrow keys move between messages, R replies to the focused one. */
import type { RefObject, TargetedKeyboardEvent } from "preact";
import { useState } from "preact/hooks";
import type { Conversation } from "../state/conversation";

export function useRovingFocus(list: RefObject<HTMLElement | null>, conversation: Conversation) {
  const [current, setCurrent] = useState<string | null>(null);

  const rows = () => [...(list.current?.querySelectorAll<HTMLElement>("[data-key]") ?? [])];
  const moveTo = (row: HTMLElement | undefined) => {
    if (!row) return;
    setCurrent(row.dataset["key"] ?? null);
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };

  const onKeyDown = (event: TargetedKeyboardEvent<HTMLElement>) => {
    const focused = document.activeElement;
    if (focused instanceof HTMLTextAreaElement) return;
    const all = rows();
    const index = all.findIndex((row) => row.contains(focused));
    if (event.key === "ArrowUp") moveTo(index < 0 ? all.at(-1) : all[Math.max(0, index - 1)]);
    else if (event.key === "ArrowDown") moveTo(index < 0 ? all.at(-1) : all[Math.min(all.length - 1, index + 1)]);
    else if (event.key === "r" && !event.ctrlKey && !event.metaKey && index >= 0) replyTo(all[index]);
    else return;
    event.preventDefault();
  };

  const replyTo = (row: HTMLElement | undefined) => {
    const found = conversation.timeline.value.rows.find(({ id }) => id === row?.dataset["key"]);
    if (found && found.kind === "USER" && !found.deletedAt) conversation.replyTo.set(found);
  };

  const onFocusIn = (event: FocusEvent) => {
    const row = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-key]") : null;
    if (row) setCurrent(row.dataset["key"] ?? null);
  };
  return { current, handlers: { onKeyDown, onFocusIn } };
}
