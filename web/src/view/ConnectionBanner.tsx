/** Reports a lost connection when it is not back within a second. */
import { useEffect, useState } from "preact/hooks";
import { useChat } from "../state/chat";
import { useStore } from "../store";

const SHOW_AFTER_MS = 1_000;

export function ConnectionBanner() {
  const connection = useStore(useChat().connection);
  const isDisconnected = connection !== "connected";
  const [isVisible, setVisible] = useState(false);

  useEffect(() => {
    if (!isDisconnected) return setVisible(false);
    const timer = setTimeout(() => setVisible(true), SHOW_AFTER_MS);
    return () => clearTimeout(timer);
  }, [isDisconnected]);

  return (
    <div class="banner" role="status">
      {isVisible && isDisconnected && (
        <p>
          {connection === "failed"
            ? "The server ended the connection. Reload the page."
            : "Connection lost. Reconnecting…"}
        </p>
      )}
    </div>
  );
}
