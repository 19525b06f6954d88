/** What is being written in each room, kept until it is sent, over reloads too. */
const PREFIX = "roomcast.draft.";

export function draftOf(place: string): string {
  return localStorage.getItem(PREFIX + place) ?? "";
}

export function keepDraft(place: string, text: string): void {
  if (text) localStorage.setItem(PREFIX + place, text);
  else localStorage.removeItem(PREFIX + place);
}
