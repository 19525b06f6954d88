/** Something a person asks for that can be refused: whether it is under way, and why it failed. */
import { useState } from "preact/hooks";
import { said } from "../api/refusal";

export interface Deed {
  isBusy: boolean;
  failure: string;
  /** Does it, unless it is being done already; afterwards `then`, where it went well. */
  run(doing: () => Promise<void>): void;
}

export function useDeed(): Deed {
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const run = (doing: () => Promise<void>) => {
    if (isBusy) return;
    setBusy(true);
    setFailure("");
    doing()
      .catch((caught: unknown) => setFailure(said(caught)))
      .finally(() => setBusy(false));
  };
  return { isBusy, failure, run };
}
