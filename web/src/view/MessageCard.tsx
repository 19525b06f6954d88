/** A message out of its place, with the way back to it. */
import type { ComponentChildren } from "preact";
import type { Person } from "../api/accounts";
import { Avatar } from "./Avatar";
import { dayOf, timeOf } from "./names";

interface Props {
  message: { author: Person | null; createdAt: string };
  where?: string | null;
  onShow(): void;
  children: ComponentChildren;
}

export function MessageCard({ message, where, onShow, children }: Props) {
  const { author, createdAt } = message;
  return (
    <article class="card-message">
      <div class="by">
        {author && <Avatar person={author} />}
        <strong>{author?.displayName}</strong>
        <time dateTime={createdAt}>
          {dayOf(createdAt)}, {timeOf(createdAt)}
        </time>
      </div>
      {where && <small>in {where}</small>}
      {children}
      <button type="button" class="link" onClick={onShow}>
        Show in the room
      </button>
    </article>
  );
}
