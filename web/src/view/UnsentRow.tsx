/** A message that has not arrived yet, where it will stand; when sending failed, with a way to try again. */
import { useChat } from "../state/chat";
import type { Unsent } from "../state/unsent";
import { useStore } from "../store";
import { Avatar } from "./Avatar";
import { Quote } from "./Quote";
import { timeOf } from "./names";

export function UnsentRow({ unsent, goesOn }: { unsent: Unsent; goesOn: boolean }) {
  const { me, outbox } = useChat();
  const person = useStore(me);
  const failed = unsent.failure !== null;
  return (
    <li
      class={`message ${failed ? "failed" : "pending"} ${goesOn ? "goes-on" : ""}`}
      data-key={`msg_${unsent.key}`}
      tabIndex={-1}
    >
      <div class="gutter">{!goesOn && person && <Avatar person={person} />}</div>
      <div class="content">
        <div class={goesOn ? "unseen" : "by"}>
          <strong>{person?.displayName ?? "You"}</strong>
          <time dateTime={unsent.createdAt}>{timeOf(unsent.createdAt)}</time>
        </div>
        {unsent.replyTo && <Quote quoted={unsent.replyTo} />}
        <div class="body plain">{unsent.body}</div>
        {unsent.files.map((file) => (
          <span class="file" key={file.id}>
            {file.filename}
          </span>
        ))}
        {failed && (
          <p class="failure" role="alert">
            Not sent: {unsent.failure}{" "}
            <button type="button" class="link" onClick={() => outbox.retry(unsent.key)}>
              Retry
            </button>{" "}
            <button type="button" class="link" onClick={() => outbox.drop(unsent.key)}>
              Delete
            </button>
          </p>
        )}
      </div>
    </li>
  );
}
