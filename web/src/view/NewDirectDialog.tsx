/** Opens a direct conversation with one or more users. The server returns the existing one if there is one. */
import { useState } from "preact/hooks";
import type { UserSummary } from "../api/accounts";
import { runMutation } from "../api/request";
import { OpenDirectMessage } from "../api/roomMutations";
import { useChat } from "../state/chat";
import { navigate } from "../state/route";
import { Dialog } from "./Dialog";
import { ErrorText } from "./ErrorText";
import { useAction } from "./useAction";
import { UserPicker } from "./UserPicker";

export function NewDirectDialog({ onClose }: { onClose(): void }) {
  const { client } = useChat();
  const [users, setUsers] = useState<readonly UserSummary[]>([]);
  const action = useAction();
  const start = () =>
    action.run(async () => {
      const { room } = await runMutation(client, OpenDirectMessage, { input: { userIds: users.map(({ id }) => id) } });
      onClose();
      if (room) navigate(room.id);
    });
  return (
    <Dialog title="New message" onClose={onClose}>
      <UserPicker chosen={users} onChange={setUsers} />
      <ErrorText text={action.error} />
      <button type="button" class="primary" disabled={users.length === 0 || action.isBusy} onClick={start}>
        Start conversation
      </button>
    </Dialog>
  );
}
