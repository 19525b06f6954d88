/** A message that is being sent, or that could not be sent and can be retried or deleted. */
import { useChat } from "../state/chat";
import type { UnsentMessage } from "../state/outbox";
import { useStore } from "../store";
import { Avatar } from "./Avatar";
import { formatTime } from "./format";
import { Quote } from "./Quote";

export function UnsentRow({ unsent, isGrouped }: { unsent: UnsentMessage; isGrouped: boolean }) {
  const { viewer, outbox } = useChat();
  const user = useStore(viewer);
  const hasFailed = unsent.failure !== null;
  return (
    <li
      class={`message ${hasFailed ? "failed" : "pending"} ${isGrouped ? "grouped" : ""}`}
      data-key={`msg_${unsent.key}`}
      tabIndex={-1}
    >
      <div class="gutter">{!isGrouped && user && <Avatar user={user} />}</div>
      <div class="content">
        <div class={isGrouped ? "visually-hidden" : "byline"}>
          <strong>{user?.displayName ?? "You"}</strong>
          <time dateTime={unsent.createdAt}>{formatTime(unsent.createdAt)}</time>
        </div>
        {unsent.replyTo && <Quote quoted={unsent.replyTo} />}
        <div class="body plain">{unsent.body}</div>
        {unsent.files.map((file) => (
          <span class="file" key={file.id}>
            {file.filename}
          </span>
        ))}
        {hasFailed && (
          <p class="failure" role="alert">
            Not sent: {unsent.failure}{" "}
            <button type="button" class="link" onClick={() => outbox.retry(unsent.key)}>
              Retry
            </button>{" "}
            <button type="button" class="link" onClick={() => outbox.discard(unsent.key)}>
              Delete
            </button>
          </p>
        )}
      </div>
    </li>
  );
}
