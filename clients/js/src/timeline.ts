/**
 * The messages of a room or a thread, as a pure reducer. Its inputs are pages, which queries load, events, which the
 * subscription delivers, and the messages that are not sent yet.
 *
 * Events carry absolute values, so one may be applied twice. A page may be older than events that have been applied
 * already, so events that arrive while a page is loading are applied again to that page.
 */
import type { Message, MessagePage, RoomEvent } from "./documents.js";

/** A message of this device that the server has not confirmed. `id` is the id that the message will have. */
export interface UnsentMessage {
  id: string;
  userId: string;
  roomId: string;
  body: string;
  replyToId: string | null;
  threadRootId: string | null;
  attachmentIds: readonly string[];
  createdAt: string;
  /** The code and text of the refusal; null while it waits or is being sent. */
  failure: { code: string; message: string } | null;
}

export interface Timeline {
  /** The thread whose replies it has; null for the messages of the room itself. */
  readonly threadRootId: string | null;
  /** Without gaps, ordered by `seq`. */
  readonly messages: readonly Message[];
  readonly unsent: readonly UnsentMessage[];
  /** Where the page before the first message begins; null if there is none. */
  readonly before: string | null;
  /** Why the room cannot be read any more. */
  readonly endReason: string | null;
  /** The events since the page that is loading was asked for; null while none is loading. */
  readonly eventsSinceRequest: readonly RoomEvent[] | null;
}

export type TimelineAction =
  | { type: "pageRequested" }
  | { type: "pageFailed" }
  /** Replaces all messages. */
  | { type: "newest"; page: MessagePage }
  /** Comes before them. `before`: what it was asked for with. */
  | { type: "older"; page: MessagePage; before: string }
  | { type: "event"; event: RoomEvent }
  /** A mutation of this device has returned a message. */
  | { type: "message"; message: Message }
  | { type: "unsent"; unsent: readonly UnsentMessage[] };

export function emptyTimeline(threadRootId: string | null = null): Timeline {
  return { threadRootId, messages: [], unsent: [], before: null, endReason: null, eventsSinceRequest: null };
}

export function reduce(timeline: Timeline, action: TimelineAction): Timeline {
  switch (action.type) {
    case "pageRequested":
      return { ...timeline, eventsSinceRequest: timeline.eventsSinceRequest ?? [] };
    case "pageFailed":
      return { ...timeline, eventsSinceRequest: null };
    case "newest":
      return addPage(timeline, action.page, []);
    case "older":
      // The messages have been replaced meanwhile: the page may not be next to them any more.
      if (action.before !== timeline.before) return { ...timeline, eventsSinceRequest: null };
      return addPage(timeline, action.page, timeline.messages);
    case "event":
      return addEvent(timeline, action.event);
    case "message":
      return putMessage(timeline, action.message);
    case "unsent":
      return { ...timeline, unsent: withoutSent(action.unsent, timeline.messages) };
  }
}

function addPage(timeline: Timeline, page: MessagePage, kept: readonly Message[]): Timeline {
  const known = new Set(kept.map(({ id }) => id));
  const messages = [...page.nodes.filter(({ id }) => !known.has(id)), ...kept];
  const before = page.pageInfo.hasPreviousPage ? page.pageInfo.startCursor : null;
  const loaded = { ...timeline, messages, before, eventsSinceRequest: null };
  return (timeline.eventsSinceRequest ?? []).reduce(applyEvent, {
    ...loaded,
    unsent: withoutSent(timeline.unsent, messages),
  });
}

function addEvent(timeline: Timeline, event: RoomEvent): Timeline {
  const next = applyEvent(timeline, event);
  const { eventsSinceRequest } = timeline;
  return eventsSinceRequest ? { ...next, eventsSinceRequest: [...eventsSinceRequest, event] } : next;
}

function applyEvent(timeline: Timeline, event: RoomEvent): Timeline {
  switch (event.__typename) {
    case "MessageCreated":
      return putMessage(timeline, event.message);
    case "MessageUpdated":
    case "MessageDeleted":
      return changeReplies(
        change(timeline, event.message.id, () => event.message),
        event.message,
      );
    case "ReactionChanged":
      return change(timeline, event.messageId, (message) => ({
        ...message,
        reactions: withReaction(message.reactions, event.emoji, event.count),
      }));
    case "StreamEnded":
      return { ...timeline, endReason: event.reason };
    default:
      return timeline;
  }
}

/** Adds a message, or replaces it. A result of a mutation may overtake the events of earlier messages. */
function putMessage(timeline: Timeline, message: Message): Timeline {
  if (message.threadRootId !== timeline.threadRootId) return timeline;
  const others = timeline.messages.filter(({ id }) => id !== message.id);
  const place = others.findLastIndex(({ seq }) => seq < message.seq) + 1;
  // Older than what is loaded: a page will bring it.
  if (place === 0 && others.length > 0 && timeline.before !== null) return timeline;
  const messages = [...others.slice(0, place), message, ...others.slice(place)];
  return { ...timeline, messages, unsent: withoutSent(timeline.unsent, messages) };
}

function change(timeline: Timeline, id: string, changed: (message: Message) => Message): Timeline {
  if (!timeline.messages.some((message) => message.id === id)) return timeline;
  const messages = timeline.messages.map((message) => (message.id === id ? changed(message) : message));
  return { ...timeline, messages };
}

/** Messages show what they reply to. */
function changeReplies(timeline: Timeline, { id, body }: Message): Timeline {
  if (!timeline.messages.some(({ replyTo }) => replyTo?.id === id)) return timeline;
  const messages = timeline.messages.map((message) =>
    message.replyTo?.id === id ? { ...message, replyTo: { ...message.replyTo, body } } : message,
  );
  return { ...timeline, messages };
}

function withReaction(groups: Message["reactions"], emoji: string, count: number): Message["reactions"] {
  const isKnown = groups.some((group) => group.emoji === emoji);
  const next = isKnown
    ? groups.map((group) => (group.emoji === emoji ? { emoji, count } : group))
    : [...groups, { emoji, count }];
  return next.filter((group) => group.count > 0);
}

function withoutSent(unsent: readonly UnsentMessage[], messages: readonly Message[]): readonly UnsentMessage[] {
  const sent = new Set(messages.map(({ id }) => id));
  return unsent.some(({ id }) => sent.has(id)) ? unsent.filter(({ id }) => !sent.has(id)) : unsent;
}
