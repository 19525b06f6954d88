/** Who is there in a room. Passing signals: nothing is stored. */
import { PRESENCE, type PresentUser } from "./documents.js";
import { keepSubscribed } from "./keep.js";
import type { Roomcast } from "./roomcast.js";
import { Store } from "./store.js";

interface PresenceChange {
  presence: { snapshot: boolean; users: readonly PresentUser[] };
}

export class Presence {
  /** The users who are not offline, at most 100. */
  readonly users = new Store<readonly PresentUser[]>([]);
  readonly close: () => void;

  constructor(roomcast: Roomcast, roomId: string) {
    this.close = keepSubscribed<PresenceChange>(
      roomcast.socket.client,
      { query: PRESENCE, variables: { roomId } },
      ({ presence }) => this.#apply(presence),
      () => this.users.set([]),
    );
  }

  #apply({ snapshot, users }: PresenceChange["presence"]): void {
    const changed = new Set(users.map(({ id }) => id));
    const others = snapshot ? [] : this.users.get().filter(({ id }) => !changed.has(id));
    this.users.set([...others, ...users.filter(({ presence }) => presence.state !== "OFFLINE")]);
  }
}
