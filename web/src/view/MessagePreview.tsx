/** A message in the search results or pins, with a button that shows it in its room. */
import type { ComponentChildren } from "preact";
import type { UserSummary } from "../api/accounts";
import { Avatar } from "./Avatar";
import { formatDay, formatTime } from "./format";

interface Props {
  message: { author: UserSummary | null; createdAt: string };
  roomName?: string | null;
  onShow(): void;
  children: ComponentChildren;
}

export function MessagePreview({ message, roomName, onShow, children }: Props) {
  const { author, createdAt } = message;
  return (
    <article class="message-preview">
      <div class="byline">
        {author && <Avatar user={author} />}
        <strong>{author?.displayName}</strong>
        <time dateTime={createdAt}>
          {formatDay(createdAt)}, {formatTime(createdAt)}
        </time>
      </div>
      {roomName && <small>in {roomName}</small>}
      {children}
      <button type="button" class="link" onClick={onShow}>
        Show in the room
      </button>
    </article>
  );
}
