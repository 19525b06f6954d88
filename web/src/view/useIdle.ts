/** Tells the server when nobody has touched any of this browser's tabs for a while, and when somebody does again. */
import { useEffect } from "preact/hooks";
import { act } from "../api/refusal";
import { SayPresence } from "../api/signals";
import { useChat } from "../state/chat";

const IDLE_AFTER_MS = 5 * 60_000;
const LOOK_EVERY_MS = 30_000;
const WRITE_EVERY_MS = 10_000;
const KEY = "roomcast.touched";
const TOUCHES = ["pointerdown", "keydown", "wheel"];

function touchedAt(): number {
  return Number(localStorage.getItem(KEY));
}

export function useIdle(): void {
  const { client, connection } = useChat();
  useEffect(() => {
    let isIdle = false;
    const say = (idle: boolean) => {
      isIdle = idle;
      act(client, SayPresence, { input: { state: idle ? "IDLE" : "ACTIVE" } }).catch(() => undefined); // only a signal
    };
    const touched = () => {
      if (!isIdle && Date.now() - touchedAt() < WRITE_EVERY_MS) return;
      localStorage.setItem(KEY, String(Date.now())); // for the other tabs: together they are one device
      if (isIdle) say(false);
    };
    const look = () => {
      const idle = Date.now() - touchedAt() > IDLE_AFTER_MS;
      if (idle !== isIdle) say(idle);
    };
    touched();
    // What was said is forgotten where the server has started anew.
    const stop = connection.watch(() => connection.value === "live" && isIdle && say(true));
    const timer = setInterval(look, LOOK_EVERY_MS);
    for (const kind of TOUCHES) addEventListener(kind, touched, { passive: true });
    return () => {
      stop();
      clearInterval(timer);
      for (const kind of TOUCHES) removeEventListener(kind, touched);
    };
  }, [client]);
}
