/** Searches messages in this room or in all of the viewer's rooms. */
import { useState } from "preact/hooks";
import { Search, type SearchHit } from "../api/messages";
import { present, runQuery } from "../api/request";
import type { RoomState } from "../state/room";
import { navigate } from "../state/route";
import { MessagePreview } from "./MessagePreview";
import { renderHtml } from "./renderHtml";
import { useSearch } from "./useSearch";

export function SearchPanel({ room }: { room: RoomState }) {
  const [input, setInput] = useState("");
  const [isEverywhere, setEverywhere] = useState(false);
  const filter = isEverywhere ? null : { roomIds: [room.id] };
  const query = input.trim();
  const hits = useSearch(query && `${isEverywhere} ${query}`, async () =>
    query ? present((await runQuery(room.client, Search, { query, filter })).searchMessages).edges : [],
  );
  return (
    <>
      <form class="search" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search"
          aria-label="Search messages"
          placeholder="Search messages"
          value={input}
          onInput={({ currentTarget }) => setInput(currentTarget.value)}
          autofocus
        />
        <label class="check">
          <input type="checkbox" checked={isEverywhere} onChange={() => setEverywhere(!isEverywhere)} />
          <span>In all my rooms</span>
        </label>
      </form>
      {query && hits?.length === 0 && <p class="empty">No messages found.</p>}
      <ul class="cards">
        {hits?.map((edge) => (
          <li key={edge.node.id}>
            <MessagePreview
              message={edge.node}
              roomName={edge.node.room.id === room.id ? null : edge.node.room.name}
              onShow={() => showHit(edge.node)}
            >
              <p class="body">{renderHtml(edge.snippetHtml)}</p>
            </MessagePreview>
          </li>
        ))}
      </ul>
    </>
  );

  function showHit({ id, threadRootId, room: where }: SearchHit["node"]) {
    if (where.id !== room.id) return navigate(where.id, threadRootId ?? id);
    void room.jumpToMessage(threadRootId ?? id);
    if (threadRootId) room.openThread(threadRootId, id);
  }
}
