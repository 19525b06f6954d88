/** A room's name, topic and people, and the ways to what hangs on it. */
import { go } from "../state/route";
import type { OpenedRoomState } from "../state/room";
import { useStore } from "../store";
import { IconButton } from "./IconButton";
import { nameOf } from "./names";
import type { PanelName } from "./Panel";
import { PresenceDot } from "./PresenceDot";
import { RoomIcon } from "./RoomIcon";

interface Props {
  room: OpenedRoomState;
  panel: PanelName | null;
  choosePanel(name: PanelName): void;
}

export function RoomHeader({ room, panel, choosePanel }: Props) {
  const facts = useStore(room.facts);
  const peer = facts?.kind === "DIRECT" && facts.directPeers.length === 1 ? facts.directPeers[0] : undefined;
  const toggle = (name: PanelName) => ({ "aria-pressed": panel === name, onClick: () => choosePanel(name) });
  return (
    <header class="room-header">
      <IconButton icon="back" name="Back to rooms" class="icon-button back" onClick={() => go(null)} />
      {facts && <RoomIcon room={facts} />}
      <div class="room-title">
        <h1>
          {facts ? nameOf(facts) : "…"}
          {peer && <PresenceDot room={room} userId={peer.id} />}
        </h1>
        {facts?.topic && <p title={facts.topic}>{facts.topic}</p>}
      </div>
      {facts?.archivedAt && <span class="tag">Archived</span>}
      <IconButton icon="search" name="Search messages" {...toggle("search")} />
      <IconButton icon="pin" name="Pinned messages" {...toggle("pins")} />
      <button type="button" class="people-button" title="Members" {...toggle("members")}>
        {facts?.memberCount ?? 0} {facts?.memberCount === 1 ? "member" : "members"}
      </button>
    </header>
  );
}
