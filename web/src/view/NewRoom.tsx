/** Making a room. */
import type { TargetedSubmitEvent } from "preact";
import { act } from "../api/refusal";
import { CreateRoom } from "../api/roomChanges";
import { useChat } from "../state/chat";
import { uuid } from "../state/identity";
import { go } from "../state/route";
import { Dialog } from "./Dialog";
import { useDeed } from "./useDeed";
import { useState } from "preact/hooks";

export function NewRoom({ onClose }: { onClose(): void }) {
  const { client } = useChat();
  const deed = useDeed();
  // One key for all tries: a room whose answer was lost is not made twice.
  const [idempotencyKey] = useState(uuid);
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const visibility = given.get("private") ? "PRIVATE" : "PUBLIC";
    const topic = String(given.get("topic")).trim() || null;
    deed.run(async () => {
      const input = { name: String(given.get("name")).trim(), topic, visibility, idempotencyKey } as const;
      const { room } = await act(client, CreateRoom, { input });
      onClose();
      if (room) go(room.id);
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
          Topic <span class="hint">(if you like)</span>
          <input name="topic" maxLength={250} autocomplete="off" />
        </label>
        <label class="check">
          <input name="private" type="checkbox" />
          <span>
            Private <span class="hint">Only who is invited or added can see it.</span>
          </span>
        </label>
        <p class="failure" role="alert">
          {deed.failure}
        </p>
        <button class="primary" disabled={deed.isBusy}>
          Create room
        </button>
      </form>
    </Dialog>
  );
}
