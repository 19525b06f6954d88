/** The form for a new room. */
import type { TargetedSubmitEvent } from "preact";
import { useState } from "preact/hooks";
import { runMutation } from "../api/request";
import { CreateRoom } from "../api/roomMutations";
import { useChat } from "../state/chat";
import { navigate } from "../state/route";
import { uuid } from "../state/uuid";
import { Dialog } from "./Dialog";
import { ErrorText } from "./ErrorText";
import { useAction } from "./useAction";

export function NewRoomDialog({ onClose }: { onClose(): void }) {
  const { client } = useChat();
  const action = useAction();
  // The same key for all attempts, so that a retry after a lost answer creates no second room.
  const [idempotencyKey] = useState(uuid);
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const visibility = form.get("private") ? "PRIVATE" : "PUBLIC";
    const topic = String(form.get("topic")).trim() || null;
    action.run(async () => {
      const input = { name: String(form.get("name")).trim(), topic, visibility, idempotencyKey } as const;
      const { room } = await runMutation(client, CreateRoom, { input });
      onClose();
      if (room) navigate(room.id);
    });
  };
  return (
    <Dialog title="New room" onClose={onClose}>
      <form onSubmit={submit}>
        <label>
          Name
          <input name="name" maxLength={80} required autocomplete="off" autofocus />
        </label>
        <label>
          Topic <span class="hint">(optional)</span>
          <input name="topic" maxLength={250} autocomplete="off" />
        </label>
        <label class="check">
          <input name="private" type="checkbox" />
          <span>
            Private <span class="hint">Only people who are invited or added can see it.</span>
          </span>
        </label>
        <ErrorText text={action.error} />
        <button class="primary" disabled={action.isBusy}>
          Create room
        </button>
      </form>
    </Dialog>
  );
}
