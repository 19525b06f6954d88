/** What rooms and moments are called on this page. */
import type { RoomCard } from "../api/rooms";

type Named = Pick<RoomCard, "kind" | "name" | "directPeers">;

export function nameOf({ kind, name, directPeers }: Named): string {
  if (kind !== "DIRECT") return name ?? "";
  return directPeers.map((peer) => peer.displayName).join(", ") || "Only you";
}

const time = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dayAndYear = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });

export function timeOf(moment: string): string {
  return time.format(new Date(moment));
}

export function momentOf(moment: string): string {
  return full.format(new Date(moment));
}

/** Today, Yesterday, or a date: what a day is called above its messages. */
export function dayOf(moment: string, now = new Date()): string {
  const then = new Date(moment);
  const days = Math.round((midnight(now) - midnight(then)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return (then.getFullYear() === now.getFullYear() ? day : dayAndYear).format(then);
}

function midnight(moment: Date): number {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate()).getTime();
}

export function sizeOf(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kilobytes = bytes / 1024;
  return kilobytes < 1024 ? `${Math.round(kilobytes)} KB` : `${(kilobytes / 1024).toFixed(1)} MB`;
}
