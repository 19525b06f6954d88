/** Public rooms that one is not in yet. */
import { useState } from "preact/hooks";
import { act, ask } from "../api/refusal";
import { Join } from "../api/roomChanges";
import { Directory as Rooms } from "../api/rooms";
import { useChat } from "../state/chat";
import { go } from "../state/route";
import { Dialog } from "./Dialog";
import { useDeed } from "./useDeed";
import { useSearch } from "./useSearch";

export function Directory({ onClose }: { onClose(): void }) {
  const { client } = useChat();
  const [words, setWords] = useState("");
  const deed = useDeed();
  const found = useSearch(words, async (query) => (await ask(client, Rooms, { query: query || null })).rooms.nodes);
  const visit = (roomId: string) => {
    onClose();
    go(roomId);
  };
  const join = (roomId: string) =>
    deed.run(async () => {
      await act(client, Join, { input: { roomId } });
      visit(roomId);
    });
  return (
    <Dialog title="Browse rooms" onClose={onClose}>
      <input
        type="search"
        aria-label="Find a room"
        placeholder="Find a room"
        value={words}
        onInput={({ currentTarget }) => setWords(currentTarget.value)}
        autofocus
      />
      <p class="failure" role="alert">
        {deed.failure}
      </p>
      <ul class="choices">
        {found?.map((room) => (
          <li key={room.id}>
            <button type="button" class="choice" onClick={() => visit(room.id)}>
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
      {found?.length === 0 && <p class="nothing">No other public room{words ? " is called so" : " yet"}.</p>}
    </Dialog>
  );
}
