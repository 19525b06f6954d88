/** Searches while the viewer types: waits for a pause, and ignores the results of earlier queries. */
import { useEffect, useState } from "preact/hooks";

const DEBOUNCE_MS = 200;

export function useSearch<Result>(query: string, search: (query: string) => Promise<Result>): Result | null {
  const [found, setFound] = useState<Result | null>(null);
  useEffect(() => {
    let isCurrent = true;
    const timer = setTimeout(
      () =>
        search(query).then(
          (answer) => isCurrent && setFound(answer),
          () => undefined,
        ),
      query ? DEBOUNCE_MS : 0,
    );
    return () => {
      isCurrent = false;
      clearTimeout(timer);
    };
  }, [query]);
  return found;
}
