/** The picture of a user, or the initial of the name on a colour that is derived from the user's id. */
import type { UserSummary } from "../api/accounts";

const COLOURS = 8;

function colourOf(id: string): number {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) % 9973;
  return sum % COLOURS;
}

export function Avatar({ user }: { user: Pick<UserSummary, "id" | "displayName" | "avatarUrl"> }) {
  if (user.avatarUrl) return <img class="avatar" src={user.avatarUrl} alt="" width="36" height="36" />;
  const [initial = "?"] = user.displayName;
  return (
    <span class={`avatar colour-${colourOf(user.id)}`} aria-hidden="true">
      {initial.toUpperCase()}
    </span>
  );
}
