/** Calls back when somebody looks at what is new here, and when they look away. */
import { useEffect } from "preact/hooks";

export function isPageFocused(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}

export function useReadTracking(isAtEnd: boolean, newestSeq: number, onRead: () => void, onBlur: () => void): void {
  useEffect(() => {
    const checkRead = () => {
      if (isAtEnd && isPageFocused()) onRead();
    };
    checkRead();
    addEventListener("focus", checkRead);
    document.addEventListener("visibilitychange", checkRead);
    return () => {
      removeEventListener("focus", checkRead);
      document.removeEventListener("visibilitychange", checkRead);
    };
  }, [isAtEnd, newestSeq]);

  useEffect(() => {
    addEventListener("blur", onBlur);
    return () => removeEventListener("blur", onBlur);
  }, []);
}
