/** Runs an action of the viewer, and holds whether it is running and the error of its last run. */
import { useState } from "preact/hooks";
import { errorMessage } from "../api/request";

export interface ActionState {
  isBusy: boolean;
  /** Empty when there is no error. */
  error: string;
  /** Starts the action, unless one is running. */
  run(action: () => Promise<void>): void;
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
