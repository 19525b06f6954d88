/** The directory: public rooms that the viewer has not joined. */
import { useState } from "preact/hooks";
import { present, runMutation, runQuery } from "../api/request";
import { JoinRoom } from "../api/roomMutations";
import { DiscoverableRooms } from "../api/rooms";
import { useChat } from "../state/chat";
import { navigate } from "../state/route";
import { Dialog } from "./Dialog";
import { ErrorText } from "./ErrorText";
import { useAction } from "./useAction";
import { useSearch } from "./useSearch";

export function DirectoryDialog({ onClose }: { onClose(): void }) {
  const { client } = useChat();
  const [query, setQuery] = useState("");
  const action = useAction();
  const rooms = useSearch(
    query,
    async (query) => present((await runQuery(client, DiscoverableRooms, { query: query || null })).rooms).nodes,
  );
  const openRoom = (roomId: string) => {
    onClose();
    navigate(roomId);
  };
  const join = (roomId: string) =>
    action.run(async () => {
      await runMutation(client, JoinRoom, { input: { roomId } });
      openRoom(roomId);
    });
  return (
    <Dialog title="Browse rooms" onClose={onClose}>
      <input
        type="search"
        aria-label="Find a room"
        placeholder="Find a room"
        value={query}
        onInput={({ currentTarget }) => setQuery(currentTarget.value)}
        autofocus
      />
      <ErrorText text={action.error} />
      <ul class="choices">
        {rooms?.map((room) => (
          <li key={room.id}>
            <button type="button" class="choice" onClick={() => openRoom(room.id)}>
              <strong>{room.name}</strong>
              <small>
                {room.memberCount} {room.memberCount === 1 ? "member" : "members"}
                {room.topic && ` · ${room.topic}`}
              </small>
            </button>
            <button type="button" aria-label={`Join ${room.name}`} onClick={() => join(room.id)}>
              Join
            </button>
          </li>
        ))}
      </ul>
      {rooms?.length === 0 && (
        <p class="empty">{query ? "No other public room with this name." : "No other public rooms yet."}</p>
      )}
    </Dialog>
  );
}
