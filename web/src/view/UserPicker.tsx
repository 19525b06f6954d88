/** Finds users by name and selects some of them. */
import { useState } from "preact/hooks";
import { FindUsers, type UserSummary } from "../api/accounts";
import { present, runQuery } from "../api/request";
import { useChat } from "../state/chat";
import { Avatar } from "./Avatar";
import { IconButton } from "./IconButton";
import { useSearch } from "./useSearch";

interface Props {
  chosen: readonly UserSummary[];
  onChange(chosen: UserSummary[]): void;
}

export function UserPicker({ chosen, onChange }: Props) {
  const { client, userId } = useChat();
  const [query, setQuery] = useState("");
  const results = useSearch(query, async (query) =>
    query ? present((await runQuery(client, FindUsers, { query })).users).nodes : [],
  );
  const choices = results?.filter(({ id }) => id !== userId && !chosen.some((one) => one.id === id));
  const choose = (user: UserSummary) => {
    onChange([...chosen, user]);
    setQuery("");
  };
  return (
    <div>
      {chosen.length > 0 && (
        <ul class="chosen" aria-label="Selected people">
          {chosen.map((user) => (
            <li key={user.id}>
              {user.displayName}
              <IconButton
                icon="close"
                name={`Remove ${user.displayName}`}
                onClick={() => onChange(chosen.filter((one) => one !== user))}
              />
            </li>
          ))}
        </ul>
      )}
      <input
        type="search"
        aria-label="Find people"
        placeholder="Find people by name"
        value={query}
        onInput={({ currentTarget }) => setQuery(currentTarget.value)}
        autofocus
      />
      <ul class="choices">
        {choices?.map((user) => (
          <li key={user.id}>
            <button type="button" class="choice person" onClick={() => choose(user)}>
              <Avatar user={user} />
              <strong>{user.displayName}</strong> <small>@{user.username}</small>
            </button>
          </li>
        ))}
      </ul>
      {query && choices?.length === 0 && <p class="empty">No user with this name.</p>}
    </div>
  );
}
