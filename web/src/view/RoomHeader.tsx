/** The header of a room: name, topic, and buttons for the panels. */
import type { RoomState } from "../state/room";
import { navigate } from "../state/route";
import { useStore } from "../store";
import { roomName } from "./format";
import { IconButton } from "./IconButton";
import type { PanelName } from "./Panel";
import { PresenceDot } from "./PresenceDot";
import { RoomIcon } from "./RoomIcon";

interface Props {
  room: RoomState;
  panel: PanelName | null;
  choosePanel(name: PanelName): void;
}

export function RoomHeader({ room, panel, choosePanel }: Props) {
  const details = useStore(room.details);
  const peer = details?.kind === "DIRECT" && details.directPeers.length === 1 ? details.directPeers[0] : undefined;
  const toggle = (name: PanelName) => ({ "aria-pressed": panel === name, onClick: () => choosePanel(name) });
  return (
    <header class="room-header">
      <IconButton icon="back" name="Back to rooms" class="icon-button back" onClick={() => navigate(null)} />
      {details && <RoomIcon room={details} />}
      <div class="room-title">
        <h1>
          {details ? roomName(details) : "…"}
          {peer && <PresenceDot room={room} userId={peer.id} />}
        </h1>
        {details?.topic && <p title={details.topic}>{details.topic}</p>}
      </div>
      {details?.archivedAt && <span class="tag">Archived</span>}
      <IconButton icon="search" name="Search messages" {...toggle("search")} />
      <IconButton icon="pin" name="Pinned messages" {...toggle("pins")} />
      <button type="button" class="members-button" title="Members" {...toggle("members")}>
        {details?.memberCount ?? 0} {details?.memberCount === 1 ? "member" : "members"}
      </button>
    </header>
  );
}
