/** An invitation that led here: what it is to, and the choice. */
import { useEffect, useState } from "preact/hooks";
import type { ResultOf } from "gql.tada";
import { act, ask } from "../api/refusal";
import { Join } from "../api/roomChanges";
import { Invitation } from "../api/rooms";
import { useChat } from "../state/chat";
import { dismissInvitation, go } from "../state/route";
import { Dialog } from "./Dialog";
import { useDeed } from "./useDeed";

type Preview = ResultOf<typeof Invitation>["invite"];

export function Invited({ code, onClose }: { code: string; onClose(): void }) {
  const { client } = useChat();
  const [preview, setPreview] = useState<Preview | undefined>(undefined);
  const deed = useDeed();
  useEffect(() => {
    ask(client, Invitation, { code }).then(
      ({ invite }) => setPreview(invite),
      () => setPreview(null),
    );
  }, [code]);
  const close = () => {
    dismissInvitation();
    onClose();
  };
  const join = () =>
    deed.run(async () => {
      const { room } = await act(client, Join, { input: { inviteCode: code } });
      close();
      if (room) go(room.id);
    });

  if (preview === undefined) return null;
  return (
    <Dialog title="Invitation" onClose={close}>
      {preview === null ? (
        <p>This invitation is not valid (any more).</p>
      ) : (
        <>
          <p>
            {preview.inviter?.displayName ?? "Somebody"} invites you to <strong>{preview.roomName}</strong>.
          </p>
          <p class="failure" role="alert">
            {deed.failure}
          </p>
          <button type="button" class="primary" disabled={deed.isBusy} onClick={join}>
            Join room
          </button>
        </>
      )}
    </Dialog>
  );
}
