/** The browser's own way to choose files, behind a button that looks like the others. */
import { useRef } from "preact/hooks";
import { IconButton } from "./IconButton";

export function FilePicker({ onPick }: { onPick(files: File[]): void }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <IconButton icon="plus" name="Attach files" onClick={() => input.current?.click()} />
      <input
        ref={input}
        hidden
        type="file"
        multiple
        aria-label="Files"
        onChange={({ currentTarget }) => {
          onPick([...(currentTarget.files ?? [])]);
          currentTarget.value = ""; // the same file may be chosen again
        }}
      />
    </>
  );
}
