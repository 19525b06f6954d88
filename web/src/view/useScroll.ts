/**
 * The scroll position of a list of messages. At its end, the list follows new messages. Elsewhere, the first visible row
 * keeps its position when rows are added or removed above or below it.
 */
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** A position this close to the end counts as the end. */
const AT_END_PX = 48;
/** The next page is loaded when the position is this close to the first or last row. */
const LOAD_AHEAD_PX = 600;

interface ScrollContent {
  isEmpty: boolean;
  hasOlder: boolean;
  hasNewer: boolean;
  loadOlder(): void;
  loadNewer(): void;
}

export interface Scroll {
  isAtEnd: boolean;
  onScroll(): void;
  /** Scrolls to the end and follows new messages. */
  scrollToEnd(): void;
  /** Scrolls a row into the middle of the list. */
  scrollToRow(key: string): void;
}

/** A row by its `data-key`, and the distance of its top from the top of the visible part, in pixels. */
interface Anchor {
  key: string;
  top: number;
}

/** `findStart` returns the row to show first, once there are rows; null starts at the end. */
export function useScroll(
  list: RefObject<HTMLElement | null>,
  content: ScrollContent,
  findStart: () => HTMLElement | null,
): Scroll {
  const [isAtEnd, setAtEnd] = useState(true);
  const state = useRef<{ isFollowing: boolean; anchor: Anchor | null; hasStarted: boolean }>({
    isFollowing: true,
    anchor: null,
    hasStarted: false,
  }).current;
  const latest = useRef(content);
  latest.current = content;

  const recordPosition = () => {
    const box = list.current;
    if (!box || latest.current.isEmpty) return;
    const below = box.scrollHeight - box.scrollTop - box.clientHeight;
    state.isFollowing = below < AT_END_PX && !latest.current.hasNewer;
    state.anchor = findAnchor(box);
    setAtEnd(state.isFollowing);
    if (latest.current.hasOlder && box.scrollTop < LOAD_AHEAD_PX) latest.current.loadOlder();
    else if (latest.current.hasNewer && below < LOAD_AHEAD_PX) latest.current.loadNewer();
  };

  const restorePosition = () => {
    const box = list.current;
    if (!box || latest.current.isEmpty) return;
    const first = state.hasStarted ? null : findStart();
    state.hasStarted = true;
    if (first) {
      box.scrollTop = first.offsetTop - box.clientHeight / 3;
    } else if (state.isFollowing && !latest.current.hasNewer) {
      box.scrollTop = box.scrollHeight;
    } else if (state.anchor) {
      const row = findRow(box, state.anchor.key);
      if (row) box.scrollTop = row.offsetTop - state.anchor.top;
    }
    recordPosition();
  };

  useLayoutEffect(restorePosition);
  useEffect(() => {
    // Sizes change when images load, the composer grows, or the window is resized.
    const observer = new ResizeObserver(restorePosition);
    const box = list.current;
    if (box) observer.observe(box);
    if (box?.firstElementChild) observer.observe(box.firstElementChild);
    return () => observer.disconnect();
  }, []);

  const scrollToEnd = () => {
    state.isFollowing = true;
    restorePosition();
  };
  const scrollToRow = (key: string) => {
    const row = list.current && findRow(list.current, key);
    if (!row) return;
    row.scrollIntoView({ block: "center" });
    recordPosition();
  };
  return { isAtEnd, onScroll: recordPosition, scrollToEnd, scrollToRow };
}

function findRow(box: HTMLElement, key: string): HTMLElement | null {
  return box.querySelector<HTMLElement>(`[data-key="${key}"]`);
}

/** The first visible row. */
function findAnchor(box: HTMLElement): Anchor | null {
  for (const row of box.querySelectorAll<HTMLElement>("[data-key]")) {
    if (row.offsetTop + row.offsetHeight > box.scrollTop) {
      return { key: row.dataset["key"] ?? "", top: row.offsetTop - box.scrollTop };
    }
  }
  return null;
}
