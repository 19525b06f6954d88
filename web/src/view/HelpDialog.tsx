/** The keys, and the doors for who builds on this server. */
import { Dialog } from "./Dialog";

const KEYS: readonly [string, string][] = [
  ["Ctrl K", "Go to a room or person"],
  ["Alt ↑ / ↓", "The room above or below"],
  ["Alt Shift ↑ / ↓", "The unread room above or below"],
  ["Enter", "Send"],
  ["Shift Enter", "A new line"],
  ["↑", "Edit your last message, in an empty box"],
  ["↑ / ↓ in the list", "From message to message; Tab reaches what can be done with one"],
  ["R", "Reply to the chosen message"],
  ["Esc", "Mark as read"],
  ["?", "This help"],
];

export function HelpDialog({ onClose }: { onClose(): void }) {
  return (
    <Dialog title="Keyboard and help" onClose={onClose}>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="hint">
        Building on this server? Open <a href="/graphql">GraphiQL</a> or the <a href="/schema.graphql">schema</a>.
      </p>
    </Dialog>
  );
}
