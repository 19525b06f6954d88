// The events of a subscription as one growing result: newest first, with their count. GraphiQL alone would show only
// the last event.

/** So many events are shown. Older ones are dropped, so that a page left open does not fill its memory. */
const MAX_EVENTS = 200;

const listeners = new Set();
let shown = null;

function show(events) {
  shown = events;
  for (const listener of [...listeners]) listener();
}

export function onEventsChange(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** The number of events of the list that is shown, or null where none is. */
export const eventCount = () => shown?.count ?? null;

export const clearEvents = () => shown?.clear();

export const hideEvents = () => show(null);

/** The list of a new subscription, shown by GraphiQL's observer of it. */
export function startEvents(observer) {
  let latest = [];
  let closed = null;
  let frame = 0;
  let isStopped = false;

  function draw() {
    frame = 0;
    observer.next({ ...(closed && { closed }), count: events.count, events: latest });
  }

  /** At most once for each frame: a replay may bring thousands of events at once. */
  function drawSoon() {
    frame ||= requestAnimationFrame(draw);
  }

  const events = {
    count: 0,
    next(result) {
      events.count += 1;
      latest = [{ number: events.count, at: new Date().toISOString(), ...result }, ...latest].slice(0, MAX_EVENTS);
      drawSoon();
      show(events);
    },
    /** The stream is over; `reason` is null where the server completed it. */
    end(reason) {
      if (isStopped) return;
      closed = reason;
      cancelAnimationFrame(frame);
      draw();
      observer.complete();
    },
    /** Nothing is drawn any more: another tab may be open. */
    stop() {
      isStopped = true;
      cancelAnimationFrame(frame);
    },
    clear() {
      latest = [];
      events.count = 0;
      show(events);
      draw();
    },
  };
  drawSoon(); // not at once: GraphiQL writes its history while it waits for a first result
  show(events);
  return events;
}
