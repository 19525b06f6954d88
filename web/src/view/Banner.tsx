/** Says that the connection is gone, once that has lasted long enough to matter. */
import { useEffect, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import { useStore } from "../store";

const NOTICEABLE_MS = 1_000;

export function Banner() {
  const connection = useStore(useChat().connection);
  const isAway = connection !== "live";
  const [isShown, setShown] = useState(false);

  useEffect(() => {
    if (!isAway) return setShown(false);
    const timer = setTimeout(() => setShown(true), NOTICEABLE_MS);
    return () => clearTimeout(timer);
  }, [isAway]);

  return (
    <div class="banner" role="status">
      {isShown && isAway && (
        <p>
          {connection === "refused"
            ? "The server ended the connection. Reload the page."
            : "Connection lost. Reconnecting…"}
        </p>
      )}
    </div>
  );
}
