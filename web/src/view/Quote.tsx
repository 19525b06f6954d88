/** The message that a reply refers to, in one line. */
import type { Row } from "../state/timeline";

interface Props {
  quoted: NonNullable<Row["replyTo"]>;
  onShow?: (id: string) => void;
}

export function Quote({ quoted, onShow }: Props) {
  const content = (
    <>
      <strong>{quoted.author?.displayName ?? "Someone"}</strong> {quoted.body ?? "(deleted)"}
    </>
  );
  if (!onShow) return <blockquote class="quote">{content}</blockquote>;
  return (
    <button type="button" class="quote" tabIndex={-1} onClick={() => onShow(quoted.id)}>
      {content}
    </button>
  );
}
