/** Calls back when somebody has said something more themselves: that, they want to see. */
import { useEffect, useRef } from "preact/hooks";

export function useSpeaking(unsent: number, onSaid: () => void): void {
  const before = useRef(unsent);
  useEffect(() => {
    if (unsent > before.current) onSaid();
    before.current = unsent;
  }, [unsent]);
}
