/** Pauses between attempts, and requests that are repeated. */
import { RoomcastError } from "./errors.js";

const FIRST_MS = 200;
const LONGEST_MS = 10_000;

/** Doubles with each attempt, with jitter: clients that lost one server do not return in step. */
export function pauseMs(attempt: number, atLeastMs = 0): number {
  const ms = Math.min(FIRST_MS * 2 ** attempt, LONGEST_MS);
  return Math.max(ms / 2 + (Math.random() * ms) / 2, atLeastMs);
}

/** Ends early when the browser is online again, or the signal is aborted. */
export function wait(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(finish, ms);
    function finish() {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", finish);
      signal?.removeEventListener("abort", finish);
      resolve();
    }
    globalThis.addEventListener?.("online", finish);
    signal?.addEventListener("abort", finish);
  });
}

/**
 * Repeats a request while its error is retryable, until `limitMs` are over or the signal is aborted. Throws the last
 * RoomcastError.
 */
export async function repeatUntilAnswered<Answer>(
  request: () => Promise<Answer>,
  limitMs: number,
  signal: AbortSignal,
): Promise<Answer> {
  const end = Date.now() + limitMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof RoomcastError) || !error.isRetryable) throw error;
      const ms = pauseMs(attempt, error.retryAfterMs);
      if (Date.now() + ms > end || signal.aborted) throw error;
      await wait(ms, signal);
    }
  }
}
