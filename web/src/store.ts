/** An observable value, and a hook that renders a component again when the value changes. */
import { useEffect, useState } from "preact/hooks";

export class Store<Value> {
  #value: Value;
  readonly #listeners = new Set<() => void>();

  constructor(value: Value) {
    this.#value = value;
  }

  get value(): Value {
    return this.#value;
  }

  set(value: Value): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  update(change: (value: Value) => Value): void {
    this.set(change(this.#value));
  }

  /** Calls `listener` after every change. Returns a function that removes the listener. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/** Returns the value of the store. The component is rendered again when it changes. */
export function useStore<Value>(store: Store<Value>): Value {
  const [, redraw] = useState(0);
  useEffect(() => {
    const rendered = store.value;
    const stop = store.watch(() => redraw((count) => count + 1));
    // The value may have changed between the rendering and this effect.
    if (!Object.is(rendered, store.value)) redraw((count) => count + 1);
    return stop;
  }, [store]);
  return store.value;
}
