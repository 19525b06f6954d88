/** What several components need is opened once, and closed when the last of them has gone. */
import type { Roomcast } from "@roomcast/client";
import {
  createContext,
  createElement,
  useContext,
  useEffect,
  useState,
  useSyncExternalStore,
  type ReactNode,
} from "react";

export interface Closable {
  close(): void;
}

export interface Observable<Value> {
  readonly get: () => Value;
  readonly subscribe: (listener: () => void) => () => void;
}

interface Entry {
  value: Closable;
  users: number;
}

const Context = createContext<Roomcast | null>(null);
const opened = new WeakMap<Roomcast, Map<string, Entry>>();

/** Give it what `createRoomcast` returns. */
export function RoomcastProvider({ roomcast, children }: { roomcast: Roomcast; children?: ReactNode }) {
  return createElement(Context.Provider, { value: roomcast }, children);
}

export function useRoomcast(): Roomcast {
  const roomcast = useContext(Context);
  if (!roomcast) throw new Error("Put a <RoomcastProvider> around the components that use roomcast.");
  return roomcast;
}

/**
 * What `open` returns, shared by all components with this key; null before the first effect, and while nobody has signed
 * in. Another user who signs in gets a new one.
 */
export function useShared<Value extends Closable>(name: string, open: (roomcast: Roomcast) => Value): Value | null {
  const roomcast = useRoomcast();
  const userId = useStore(roomcast.session, null)?.userId;
  const owner = roomcast.canSignIn ? userId : "given";
  const key = owner === undefined ? null : `${owner} ${name}`;
  const [current, setCurrent] = useState<{ key: string; roomcast: Roomcast; value: Value } | null>(null);
  useEffect(() => {
    if (key === null) return undefined;
    const value = acquire(roomcast, key, open);
    setCurrent({ key, roomcast, value });
    return () => release(roomcast, key);
    // `open` differs in each render and does the same: the key says what it opens.
  }, [roomcast, key]);
  return current !== null && current.key === key && current.roomcast === roomcast ? current.value : null;
}

/** The value of a store, or `absent` while there is no store. */
export function useStore<Value>(store: Observable<Value> | undefined, absent: Value): Value {
  const get = () => (store ? store.get() : absent);
  return useSyncExternalStore(store?.subscribe ?? never, get, get);
}

const never = () => () => undefined;

function acquire<Value extends Closable>(roomcast: Roomcast, key: string, open: (roomcast: Roomcast) => Value): Value {
  const entries = opened.get(roomcast) ?? new Map<string, Entry>();
  opened.set(roomcast, entries);
  const entry = entries.get(key) ?? { value: open(roomcast), users: 0 };
  entries.set(key, entry);
  entry.users += 1;
  return entry.value as Value;
}

/** Not closed at once: StrictMode, and a component that moves, unmount and mount again in the same moment. */
function release(roomcast: Roomcast, key: string): void {
  const entry = opened.get(roomcast)?.get(key);
  if (!entry) return;
  entry.users -= 1;
  setTimeout(() => {
    if (entry.users > 0 || opened.get(roomcast)?.get(key) !== entry) return;
    opened.get(roomcast)?.delete(key);
    entry.value.close();
  });
}
