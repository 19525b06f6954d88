/** A person's picture, or their initial on a colour that stays theirs. */
import type { Person } from "../api/accounts";

const COLOURS = 8;

function colourOf(id: string): number {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) % 9973;
  return sum % COLOURS;
}

export function Avatar({ person }: { person: Pick<Person, "id" | "displayName" | "avatarUrl"> }) {
  if (person.avatarUrl) return <img class="avatar" src={person.avatarUrl} alt="" width="36" height="36" />;
  const [initial = "?"] = person.displayName;
  return (
    <span class={`avatar colour-${colourOf(person.id)}`} aria-hidden="true">
      {initial.toUpperCase()}
    </span>
  );
}
