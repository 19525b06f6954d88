/** Something a person asks for that can be refused: whether it is under way, and why it failed. */
import { useState } from "preact/hooks";
import { errorMessage } from "../api/request";

export interface ActionState {
  isBusy: boolean;
  error: string;
  /** Does it, unless it is being done already; afterwards `then`, where it went well. */
  run(doing: () => Promise<void>): void;
}

export function useAction(): ActionState {
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const run = (action: () => Promise<void>) => {
    if (isBusy) return;
    setBusy(true);
    setError("");
    action()
      .catch((caught: unknown) => setError(errorMessage(caught)))
      .finally(() => setBusy(false));
  };
  return { isBusy, error, run };
}
