/** A button that opens the file dialog of the browser. */
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
          currentTarget.value = ""; // otherwise choosing the same file again fires no event
        }}
      />
    </>
  );
}
