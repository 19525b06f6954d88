/** Sets the presence of the viewer: idle after five minutes without input in any tab of this browser, else active. */
import { useEffect } from "preact/hooks";
import { runMutation } from "../api/request";
import { SetPresence } from "../api/signals";
import { useChat } from "../state/chat";

const IDLE_AFTER_MS = 5 * 60_000;
/** How often the time of the last input is compared with `IDLE_AFTER_MS`. */
const CHECK_EVERY_MS = 30_000;
/** How often the time of the last input is stored, at most. */
const RECORD_EVERY_MS = 10_000;
const STORAGE_KEY = "roomcast.touched";
const INPUT_EVENTS = ["pointerdown", "keydown", "wheel"];

function lastInputAt(): number {
  return Number(localStorage.getItem(STORAGE_KEY));
}

export function useIdlePresence(): void {
  const { client, connection } = useChat();
  useEffect(() => {
    let isIdle = false;
    const setPresence = (idle: boolean) => {
      isIdle = idle;
      // Errors are ignored: the next change sends a new state.
      runMutation(client, SetPresence, { input: { state: idle ? "IDLE" : "ACTIVE" } }).catch(() => undefined);
    };
    const onInput = () => {
      if (!isIdle && Date.now() - lastInputAt() < RECORD_EVERY_MS) return;
      localStorage.setItem(STORAGE_KEY, String(Date.now())); // shared, because all tabs count as one device
      if (isIdle) setPresence(false);
    };
    const checkIdle = () => {
      const idle = Date.now() - lastInputAt() > IDLE_AFTER_MS;
      if (idle !== isIdle) setPresence(idle);
    };
    onInput();
    // A server that has restarted does not know that the viewer is idle.
    const stopWatching = connection.watch(() => connection.value === "connected" && isIdle && setPresence(true));
    const timer = setInterval(checkIdle, CHECK_EVERY_MS);
    for (const kind of INPUT_EVENTS) addEventListener(kind, onInput, { passive: true });
    return () => {
      stopWatching();
      clearInterval(timer);
      for (const kind of INPUT_EVENTS) removeEventListener(kind, onInput);
    };
  }, [client]);
}
