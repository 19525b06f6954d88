/** The text in the composer of each room and thread, stored until it is sent. */
const KEY_PREFIX = "roomcast.draft.";

export function readDraft(key: string): string {
  return localStorage.getItem(KEY_PREFIX + key) ?? "";
}

export function saveDraft(key: string, text: string): void {
  if (text) localStorage.setItem(KEY_PREFIX + key, text);
  else localStorage.removeItem(KEY_PREFIX + key);
}
