/** The text of a message as HTML, with mentions highlighted. */
import { useMemo } from "preact/hooks";
import { useChat } from "../state/chat";
import type { Row } from "../state/timeline";
import { renderHtml, type RenderText } from "./renderHtml";

const MENTION = /(@[\w.-]+)/;

export function MessageBody({ row }: { row: Pick<Row, "bodyHtml" | "mentions" | "mentionsRoom"> }) {
  const { userId } = useChat();
  const { bodyHtml, mentions, mentionsRoom } = row;
  const elements = useMemo(
    () => renderHtml(bodyHtml ?? "", mentionRenderer(mentions, mentionsRoom, userId)),
    [bodyHtml, mentions, mentionsRoom, userId],
  );
  return <div class="body">{elements}</div>;
}

function mentionRenderer(mentions: Row["mentions"], mentionsRoom: boolean, userId: string): RenderText {
  const names = new Map(mentions.map(({ id, username }) => [username.toLowerCase(), id === userId]));
  if (mentionsRoom) names.set("room", true);
  const renderPiece = (piece: string) => {
    // Punctuation after a name is not part of it: "@ann." mentions ann.
    const name = piece.slice(1).replace(/[._-]+$/, "");
    const isViewer = names.get(name.toLowerCase());
    if (!piece.startsWith("@") || isViewer === undefined) return piece;
    return [<span class={isViewer ? "mention me" : "mention"}>@{name}</span>, piece.slice(1 + name.length)];
  };
  return names.size === 0 ? (text) => text : (text) => text.split(MENTION).map(renderPiece);
}
