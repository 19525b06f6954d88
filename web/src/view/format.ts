/** Formats names of rooms, times, days and file sizes for the page. */
import type { RoomSummary } from "../api/rooms";

type NamedRoom = Pick<RoomSummary, "kind" | "name" | "directPeers">;

export function roomName({ kind, name, directPeers }: NamedRoom): string {
  if (kind !== "DIRECT") return name ?? "";
  return directPeers.map((peer) => peer.displayName).join(", ") || "Only you";
}

const timeFormat = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const dateTimeFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });

export function formatTime(moment: string): string {
  return timeFormat.format(new Date(moment));
}

export function formatDateTime(moment: string): string {
  return dateTimeFormat.format(new Date(moment));
}

/** The heading of a day: Today, Yesterday, or a date. */
export function formatDay(moment: string, now = new Date()): string {
  const then = new Date(moment);
  const days = Math.round((midnight(now) - midnight(then)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return (then.getFullYear() === now.getFullYear() ? dayFormat : dateFormat).format(then);
}

function midnight(moment: Date): number {
  return new Date(moment.getFullYear(), moment.getMonth(), moment.getDate()).getTime();
}

export function formatSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kilobytes = bytes / 1024;
  return kilobytes < 1024 ? `${Math.round(kilobytes)} KB` : `${(kilobytes / 1024).toFixed(1)} MB`;
}
