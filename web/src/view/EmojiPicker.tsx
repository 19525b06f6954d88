/** A picker with the emoji that are common as reactions. */
import { useLayoutEffect, useRef } from "preact/hooks";

const EMOJI = [..."👍👎😀😂😍😢😮😡🎉🔥🚀👀🙏👏💯✅❌🤔💡🙌😅🥳☕"].filter((emoji) => emoji !== "\ufe0f");

interface Props {
  onPick(emoji: string): void;
  onClose(): void;
}

export function EmojiPicker({ onPick, onClose }: Props) {
  const picker = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => picker.current?.querySelector("button")?.focus(), []);
  return (
    <div
      class="picker"
      ref={picker}
      role="group"
      aria-label="Reactions"
      onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), onClose())}
    >
      {["❤️", ...EMOJI].map((emoji) => (
        <button key={emoji} type="button" onClick={() => onPick(emoji)}>
          {emoji}
        </button>
      ))}
    </div>
  );
}
