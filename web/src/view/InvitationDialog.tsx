/** The invitation from an invite link: the room, who invites, and a button to join. */
import type { ResultOf } from "gql.tada";
import { useEffect, useState } from "preact/hooks";
import { runMutation, runQuery } from "../api/request";
import { JoinRoom } from "../api/roomMutations";
import { InvitePreview } from "../api/rooms";
import { useChat } from "../state/chat";
import { navigate, removeInviteCode } from "../state/route";
import { Dialog } from "./Dialog";
import { ErrorText } from "./ErrorText";
import { useAction } from "./useAction";

type Preview = ResultOf<typeof InvitePreview>["invite"];

export function InvitationDialog({ code, onClose }: { code: string; onClose(): void }) {
  const { client } = useChat();
  const [invite, setInvite] = useState<Preview | undefined>(undefined);
  const action = useAction();
  useEffect(() => {
    runQuery(client, InvitePreview, { code }).then(
      ({ invite }) => setInvite(invite),
      () => setInvite(null),
    );
  }, [code]);
  const close = () => {
    removeInviteCode();
    onClose();
  };
  const join = () =>
    action.run(async () => {
      const { room } = await runMutation(client, JoinRoom, { input: { inviteCode: code } });
      close();
      if (room) navigate(room.id);
    });

  if (invite === undefined) return null;
  return (
    <Dialog title="Invitation" onClose={close}>
      {invite === null ? (
        <p>This invitation is not valid or has expired.</p>
      ) : (
        <>
          <p>
            {invite.inviter?.displayName ?? "Someone"} invites you to <strong>{invite.roomName}</strong>.
          </p>
          <ErrorText text={action.error} />
          <button type="button" class="primary" disabled={action.isBusy} onClick={join}>
            Join room
          </button>
        </>
      )}
    </Dialog>
  );
}
