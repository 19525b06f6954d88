/** What is being written in each room, kept until it is sent, over reloads too. */
const KEY_PREFIX = "roomcast.draft.";

export function readDraft(key: string): string {
  return localStorage.getItem(KEY_PREFIX + key) ?? "";
}

export function saveDraft(key: string, text: string): void {
  if (text) localStorage.setItem(KEY_PREFIX + key, text);
  else localStorage.removeItem(KEY_PREFIX + key);
}
