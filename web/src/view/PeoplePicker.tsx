/** Finding people by name and choosing some of them. */
import { useState } from "preact/hooks";
import { People, type Person } from "../api/accounts";
import { ask } from "../api/refusal";
import { useChat } from "../state/chat";
import { Avatar } from "./Avatar";
import { IconButton } from "./IconButton";
import { useSearch } from "./useSearch";

interface Props {
  chosen: readonly Person[];
  onChange(chosen: Person[]): void;
}

export function PeoplePicker({ chosen, onChange }: Props) {
  const { client, userId } = useChat();
  const [words, setWords] = useState("");
  const found = useSearch(words, async (query) => (query ? (await ask(client, People, { query })).users.nodes : []));
  const others = found?.filter(({ id }) => id !== userId && !chosen.some((one) => one.id === id));
  const choose = (person: Person) => {
    onChange([...chosen, person]);
    setWords("");
  };
  return (
    <div class="people-picker">
      {chosen.length > 0 && (
        <ul class="chosen" aria-label="Chosen people">
          {chosen.map((person) => (
            <li key={person.id}>
              {person.displayName}
              <IconButton
                icon="close"
                name={`Not ${person.displayName}`}
                onClick={() => onChange(chosen.filter((one) => one !== person))}
              />
            </li>
          ))}
        </ul>
      )}
      <input
        type="search"
        aria-label="Find people"
        placeholder="Find people by name"
        value={words}
        onInput={({ currentTarget }) => setWords(currentTarget.value)}
        autofocus
      />
      <ul class="choices">
        {others?.map((person) => (
          <li key={person.id}>
            <button type="button" class="choice person" onClick={() => choose(person)}>
              <Avatar person={person} />
              <strong>{person.displayName}</strong> <small>@{person.username}</small>
            </button>
          </li>
        ))}
      </ul>
      {words && others?.length === 0 && <p class="nothing">Nobody of that name.</p>}
    </div>
  );
}
