/** Loads data of a room, and loads it again after each event that may change it. */
import { useEffect, useState } from "preact/hooks";
import type { RoomEvent } from "../api/subscriptions";
import type { RoomState } from "../state/room";

/** Returns null until the data is loaded. A failed load is ignored: the next event starts another one. */
export function useRoomData<Data>(
  room: RoomState,
  reloadOn: readonly RoomEvent["__typename"][],
  load: () => Promise<Data>,
): Data | null {
  const [data, setData] = useState<Data | null>(null);
  useEffect(() => {
    let isMounted = true;
    const reload = () => {
      load().then(
        (loaded) => isMounted && setData(loaded),
        () => undefined,
      );
    };
    reload();
    const removeListener = room.addListener(({ __typename }) => reloadOn.includes(__typename) && reload());
    return () => {
      isMounted = false;
      removeListener();
    };
  }, [room]);
  return data;
}
