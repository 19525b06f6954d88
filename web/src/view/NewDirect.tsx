/** Beginning a conversation with some people, or finding the one that there is. */
import { useState } from "preact/hooks";
import type { Person } from "../api/accounts";
import { act } from "../api/refusal";
import { OpenDirect } from "../api/roomChanges";
import { useChat } from "../state/chat";
import { go } from "../state/route";
import { Dialog } from "./Dialog";
import { PeoplePicker } from "./PeoplePicker";
import { useDeed } from "./useDeed";

export function NewDirect({ onClose }: { onClose(): void }) {
  const { client } = useChat();
  const [people, setPeople] = useState<readonly Person[]>([]);
  const deed = useDeed();
  const begin = () =>
    deed.run(async () => {
      const { room } = await act(client, OpenDirect, { input: { userIds: people.map(({ id }) => id) } });
      onClose();
      if (room) go(room.id);
    });
  return (
    <Dialog title="New message" onClose={onClose}>
      <PeoplePicker chosen={people} onChange={setPeople} />
      <p class="failure" role="alert">
        {deed.failure}
      </p>
      <button type="button" class="primary" disabled={people.length === 0 || deed.isBusy} onClick={begin}>
        Start conversation
      </button>
    </Dialog>
  );
}
