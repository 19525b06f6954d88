/** Answers to what is being typed: asked for after a pause, and only the newest question's are shown. */
import { useEffect, useState } from "preact/hooks";

const PAUSE_MS = 200;

export function useSearch<Found>(words: string, search: (words: string) => Promise<Found>): Found | null {
  const [found, setFound] = useState<Found | null>(null);
  useEffect(() => {
    let isNewest = true;
    const timer = setTimeout(
      () =>
        search(words).then(
          (answer) => isNewest && setFound(answer),
          () => undefined,
        ),
      words ? PAUSE_MS : 0,
    );
    return () => {
      isNewest = false;
      clearTimeout(timer);
    };
  }, [words]);
  return found;
}
