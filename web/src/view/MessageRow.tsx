/** A message: who said it and when, what it answers, what was put under it, and what one may do with it. */
import { useState } from "preact/hooks";
import type { Conversation } from "../state/conversation";
import { linkTo } from "../state/route";
import { useStore } from "../store";
import type { Row } from "../state/timeline";
import { Attachments } from "./Attachments";
import { Avatar } from "./Avatar";
import { EditBox } from "./EditBox";
import { Icon } from "./Icon";
import { MessageBody } from "./MessageBody";
import { MessageTools } from "./MessageTools";
import { momentOf, timeOf } from "./names";
import { Quote } from "./Quote";
import { Reactions } from "./Reactions";

interface Props {
  row: Row;
  goesOn: boolean;
  conversation: Conversation;
  isCurrent: boolean;
  isLit: boolean;
}

export function MessageRow({ row, goesOn, conversation, isCurrent, isLit }: Props) {
  const isEditing = useStore(conversation.editing) === row.id;
  const [failure, setFailure] = useState("");
  const { author } = row;
  const marks = [goesOn && "goes-on", isCurrent && "current", isLit && "lit", row.deletedAt && "deleted"];
  return (
    <li class={`message ${marks.filter(Boolean).join(" ")}`} data-key={row.id} tabIndex={-1}>
      <div class="gutter">
        {!goesOn && author ? <Avatar person={author} /> : <Moment row={row} conversation={conversation} />}
      </div>
      <div class="content">
        <div class={goesOn ? "unseen" : "by"}>
          <strong>{author?.displayName ?? "Somebody"}</strong>
          {!goesOn && <Moment row={row} conversation={conversation} />}
          {row.pinnedAt && (
            <span class="pinned">
              <Icon name="pin" /> Pinned
            </span>
          )}
        </div>
        {row.replyTo && <Quote quoted={row.replyTo} onShow={(id) => void conversation.room.toMessage(id)} />}
        {isEditing ? <EditBox row={row} conversation={conversation} /> : <Said row={row} />}
        <Attachments attachments={row.attachments} isReachable={isCurrent} />
        <Reactions row={row} conversation={conversation} isReachable={isCurrent} onFailure={setFailure} />
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
        {failure && (
          <p class="failure" role="alert">
            {failure}
          </p>
        )}
      </div>
      {!row.deletedAt && !isEditing && (
        <MessageTools row={row} conversation={conversation} isReachable={isCurrent} onFailure={setFailure} />
      )}
    </li>
  );
}

function Said({ row }: { row: Row }) {
  if (row.deletedAt) return <p class="body gone">This message was deleted.</p>;
  return (
    <>
      <MessageBody row={row} />
      {row.editedAt && (
        <small class="edited" title={momentOf(row.editedAt)}>
          (edited)
        </small>
      )}
    </>
  );
}

function Moment({ row, conversation }: { row: Row; conversation: Conversation }) {
  return (
    <a class="moment" href={linkTo(conversation.room.id, row.threadRootId ?? row.id)} tabIndex={-1}>
      <time dateTime={row.createdAt} title={momentOf(row.createdAt)}>
        {timeOf(row.createdAt)}
      </time>
    </a>
  );
}
