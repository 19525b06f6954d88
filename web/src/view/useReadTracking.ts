/** Calls `onRead` while the page has the focus and shows the end of the list, and `onBlur` when it loses the focus. */
import { useEffect } from "preact/hooks";

function isPageFocused(): boolean {
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
