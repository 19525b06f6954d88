/** Tells the server when nobody has touched any of this browser's tabs for a while, and when somebody does again. */
import { useEffect } from "preact/hooks";
import { runMutation } from "../api/request";
import { SetPresence } from "../api/signals";
import { useChat } from "../state/chat";

const IDLE_AFTER_MS = 5 * 60_000;
const CHECK_EVERY_MS = 30_000;
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
      runMutation(client, SetPresence, { input: { state: idle ? "IDLE" : "ACTIVE" } }).catch(() => undefined); // only a signal
    };
    const onInput = () => {
      if (!isIdle && Date.now() - lastInputAt() < RECORD_EVERY_MS) return;
      localStorage.setItem(STORAGE_KEY, String(Date.now())); // for the other tabs: together they are one device
      if (isIdle) setPresence(false);
    };
    const checkIdle = () => {
      const idle = Date.now() - lastInputAt() > IDLE_AFTER_MS;
      if (idle !== isIdle) setPresence(idle);
    };
    onInput();
    // What was said is forgotten where the server has started anew.
    const stop = connection.watch(() => connection.value === "connected" && isIdle && setPresence(true));
    const timer = setInterval(checkIdle, CHECK_EVERY_MS);
    for (const kind of INPUT_EVENTS) addEventListener(kind, onInput, { passive: true });
    return () => {
      stop();
      clearInterval(timer);
      for (const kind of INPUT_EVENTS) removeEventListener(kind, onInput);
    };
  }, [client]);
}
