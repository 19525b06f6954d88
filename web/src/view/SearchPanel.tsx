/** Searching what was said, here or in all one's rooms. */
import { useState } from "preact/hooks";
import { Search, type Found } from "../api/messages";
import { ask } from "../api/refusal";
import { go } from "../state/route";
import type { OpenedRoomState } from "../state/room";
import { elementsOf } from "./html";
import { MessageCard } from "./MessageCard";
import { useSearch } from "./useSearch";

export function SearchPanel({ room }: { room: OpenedRoomState }) {
  const [words, setWords] = useState("");
  const [isEverywhere, setEverywhere] = useState(false);
  const filter = isEverywhere ? null : { roomIds: [room.id] };
  const question = words.trim();
  const found = useSearch(question && `${isEverywhere} ${question}`, async () =>
    question ? (await ask(room.client, Search, { query: question, filter })).searchMessages.edges : [],
  );
  return (
    <>
      <form class="search" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search"
          aria-label="Search messages"
          placeholder="Search messages"
          value={words}
          onInput={({ currentTarget }) => setWords(currentTarget.value)}
          autofocus
        />
        <label class="check">
          <input type="checkbox" checked={isEverywhere} onChange={() => setEverywhere(!isEverywhere)} />
          <span>In all my rooms</span>
        </label>
      </form>
      {question && found?.length === 0 && <p class="nothing">Nothing found.</p>}
      <ul class="cards">
        {found?.map((edge) => (
          <li key={edge.node.id}>
            <MessageCard
              message={edge.node}
              where={edge.node.room.id === room.id ? null : edge.node.room.name}
              onShow={() => show(edge.node)}
            >
              <p class="body">{elementsOf(edge.snippetHtml)}</p>
            </MessageCard>
          </li>
        ))}
      </ul>
    </>
  );

  function show({ id, threadRootId, room: where }: Found["node"]) {
    if (where.id !== room.id) return go(where.id, threadRootId ?? id);
    void room.toMessage(threadRootId ?? id);
    if (threadRootId) room.openThread(threadRootId, id);
  }
}
