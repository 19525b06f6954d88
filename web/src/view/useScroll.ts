/**
 * Where a list of messages stands: at its end, following what comes; or somewhere above, where what is read stays where
 * it is, however much is added above or below.
 */
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

/** So close to the end counts as there. */
const SLACK_PX = 48;
/** Older messages are asked for this far before they are needed. */
const AHEAD_PX = 600;

interface Window {
  isEmpty: boolean;
  hasOlder: boolean;
  hasNewer: boolean;
  older(): void;
  newer(): void;
}

export interface Scroll {
  isAtEnd: boolean;
  onScroll(): void;
  /** From now on it stands at the end. */
  stick(): void;
  /** Puts a row into the middle. */
  show(key: string): void;
}

interface Anchor {
  key: string;
  top: number;
}

export function useScroll(
  list: RefObject<HTMLElement | null>,
  window: Window,
  start: () => HTMLElement | null,
): Scroll {
  const [isAtEnd, setAtEnd] = useState(true);
  const state = useRef<{ follows: boolean; anchor: Anchor | null; began: boolean }>({
    follows: true,
    anchor: null,
    began: false,
  }).current;
  const now = useRef(window);
  now.current = window;

  const note = () => {
    const box = list.current;
    if (!box || now.current.isEmpty) return;
    const below = box.scrollHeight - box.scrollTop - box.clientHeight;
    state.follows = below < SLACK_PX && !now.current.hasNewer;
    state.anchor = anchorIn(box);
    setAtEnd(state.follows);
    if (now.current.hasOlder && box.scrollTop < AHEAD_PX) now.current.older();
    else if (now.current.hasNewer && below < AHEAD_PX) now.current.newer();
  };

  const settle = () => {
    const box = list.current;
    if (!box || now.current.isEmpty) return;
    const first = state.began ? null : start();
    state.began = true;
    if (first) {
      box.scrollTop = first.offsetTop - box.clientHeight / 3;
    } else if (state.follows && !now.current.hasNewer) {
      box.scrollTop = box.scrollHeight;
    } else if (state.anchor) {
      const row = rowIn(box, state.anchor.key);
      if (row) box.scrollTop = row.offsetTop - state.anchor.top;
    }
    note();
  };

  useLayoutEffect(settle);
  useEffect(() => {
    // Pictures that arrive, a composer that grows, a window that shrinks.
    const observer = new ResizeObserver(settle);
    const box = list.current;
    if (box) observer.observe(box);
    if (box?.firstElementChild) observer.observe(box.firstElementChild);
    return () => observer.disconnect();
  }, []);

  const stick = () => {
    state.follows = true;
    settle();
  };
  const show = (key: string) => {
    const row = list.current && rowIn(list.current, key);
    if (!row) return;
    row.scrollIntoView({ block: "center" });
    note();
  };
  return { isAtEnd, onScroll: note, stick, show };
}

function rowIn(box: HTMLElement, key: string): HTMLElement | null {
  return box.querySelector<HTMLElement>(`[data-key="${key}"]`);
}

/** The first row in sight, and how far below the upper edge it begins. */
function anchorIn(box: HTMLElement): Anchor | null {
  for (const row of box.querySelectorAll<HTMLElement>("[data-key]")) {
    if (row.offsetTop + row.offsetHeight > box.scrollTop) {
      return { key: row.dataset["key"] ?? "", top: row.offsetTop - box.scrollTop };
    }
  }
  return null;
}
