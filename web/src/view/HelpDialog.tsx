/** The help: keyboard shortcuts and links to the API. */
import { Dialog } from "./Dialog";

const KEYS: readonly [string, string][] = [
  ["Ctrl K", "Go to a room or person"],
  ["Alt ↑ / ↓", "Go to the previous or next room"],
  ["Alt Shift ↑ / ↓", "Go to the previous or next unread room"],
  ["Enter", "Send the message"],
  ["Shift Enter", "Start a new line"],
  ["↑", "Edit your last message, while the message box is empty"],
  ["↑ / ↓ in the list", "Move between messages; Tab moves to the buttons of a message"],
  ["R", "Reply to the selected message"],
  ["Esc", "Mark the room as read"],
  ["?", "Show this help"],
];

export function HelpDialog({ onClose }: { onClose(): void }) {
  return (
    <Dialog title="Keyboard and help" onClose={onClose}>
      <dl class="shortcuts">
        {KEYS.map(([key, description]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{description}</dd>
          </div>
        ))}
      </dl>
      <p class="hint">
        Building on this server? Open <a href="/graphql">GraphiQL</a>, the <a href="/docs">API reference</a> or the{" "}
        <a href="/schema.graphql">schema</a>.
      </p>
    </Dialog>
  );
}
