/** Calls back when somebody looks at what is new here, and when they look away. */
import { useEffect } from "preact/hooks";

export function isLookedAt(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}

export function useReading(isAtEnd: boolean, newest: number, read: () => void, lookAway: () => void): void {
  useEffect(() => {
    const look = () => {
      if (isAtEnd && isLookedAt()) read();
    };
    look();
    addEventListener("focus", look);
    document.addEventListener("visibilitychange", look);
    return () => {
      removeEventListener("focus", look);
      document.removeEventListener("visibilitychange", look);
    };
  }, [isAtEnd, newest]);

  useEffect(() => {
    addEventListener("blur", lookAway);
    return () => removeEventListener("blur", lookAway);
  }, []);
}
