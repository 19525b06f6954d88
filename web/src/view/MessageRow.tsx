/** A message: author, time, quoted message, text, files, reactions, thread link, and tools. */
import { useState } from "preact/hooks";
import type { Conversation } from "../state/conversation";
import { linkTo } from "../state/route";
import type { Row } from "../state/timeline";
import { useStore } from "../store";
import { Attachments } from "./Attachments";
import { Avatar } from "./Avatar";
import { EditBox } from "./EditBox";
import { ErrorText } from "./ErrorText";
import { formatDateTime, formatTime } from "./format";
import { Icon } from "./Icon";
import { MessageBody } from "./MessageBody";
import { MessageTools } from "./MessageTools";
import { Quote } from "./Quote";
import { Reactions } from "./Reactions";

interface Props {
  row: Row;
  isGrouped: boolean;
  conversation: Conversation;
  isCurrent: boolean;
  isHighlighted: boolean;
}

export function MessageRow({ row, isGrouped, conversation, isCurrent, isHighlighted }: Props) {
  const isEditing = useStore(conversation.editing) === row.id;
  const [error, setError] = useState("");
  const { author } = row;
  const classes = [isGrouped && "grouped", isCurrent && "current", isHighlighted && "lit", row.deletedAt && "deleted"];
  return (
    <li class={`message ${classes.filter(Boolean).join(" ")}`} data-key={row.id} tabIndex={-1}>
      <div class="gutter">
        {!isGrouped && author ? <Avatar user={author} /> : <Timestamp row={row} conversation={conversation} />}
      </div>
      <div class="content">
        <div class={isGrouped ? "visually-hidden" : "byline"}>
          <strong>{author?.displayName ?? "Someone"}</strong>
          {!isGrouped && <Timestamp row={row} conversation={conversation} />}
          {row.pinnedAt && (
            <span class="pinned">
              <Icon name="pin" /> Pinned
            </span>
          )}
        </div>
        {row.replyTo && <Quote quoted={row.replyTo} onShow={(id) => void conversation.room.jumpToMessage(id)} />}
        {isEditing ? <EditBox row={row} conversation={conversation} /> : <MessageText row={row} />}
        <Attachments attachments={row.attachments} isTabbable={isCurrent} />
        <Reactions row={row} conversation={conversation} isTabbable={isCurrent} onError={setError} />
        {row.thread && row.thread.replyCount > 0 && !conversation.threadRootId && (
          <button
            type="button"
            class="thread-link"
            tabIndex={isCurrent ? 0 : -1}
            onClick={() => conversation.room.openThread(row.id)}
          >
            {row.thread.replyCount} {row.thread.replyCount === 1 ? "reply" : "replies"}
          </button>
        )}
        {error && <ErrorText text={error} />}
      </div>
      {!row.deletedAt && !isEditing && (
        <MessageTools row={row} conversation={conversation} isTabbable={isCurrent} onError={setError} />
      )}
    </li>
  );
}

function MessageText({ row }: { row: Row }) {
  if (row.deletedAt) return <p class="body deleted-text">This message was deleted.</p>;
  return (
    <>
      <MessageBody row={row} />
      {row.editedAt && (
        <small class="edited" title={formatDateTime(row.editedAt)}>
          (edited)
        </small>
      )}
    </>
  );
}

function Timestamp({ row, conversation }: { row: Row; conversation: Conversation }) {
  return (
    <a class="timestamp" href={linkTo(conversation.room.id, row.threadRootId ?? row.id)} tabIndex={-1}>
      <time dateTime={row.createdAt} title={formatDateTime(row.createdAt)}>
        {formatTime(row.createdAt)}
      </time>
    </a>
  );
}
