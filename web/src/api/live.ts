/** What the page listens to: everything in the open room, and all rooms at a glance. */
import type { ResultOf } from "gql.tada";
import { PersonParts } from "./accounts";
import { graphql } from "./graphql";
import { SharedView, ThreadParts } from "./messages";
import { RoomCard, RoomFacts } from "./rooms";

export const RoomEvents = graphql(
  `
    subscription RoomEvents($roomId: ID!, $after: Cursor) {
      roomEvents(roomId: $roomId, after: $after) {
        __typename
        cursor
        ... on MessageCreated {
          message {
            ...SharedView
            threadRoot {
              id
              thread {
                ...ThreadParts
              }
            }
          }
        }
        ... on MessageUpdated {
          message {
            ...SharedView
          }
        }
        ... on MessageDeleted {
          messageId
          at
        }
        ... on ReactionChanged {
          messageId
          emoji
          count
          added
          user {
            id
          }
        }
        ... on MemberChanged {
          change
          role
          mutedUntil
          user {
            ...PersonParts
          }
        }
        ... on RoomChanged {
          room {
            ...RoomFacts
          }
        }
        ... on StreamReady {
          recovered
        }
        ... on StreamEnded {
          ending: reason
        }
      }
    }
  `,
  [SharedView, ThreadParts, PersonParts, RoomFacts],
);
export type RoomEvent = ResultOf<typeof RoomEvents>["roomEvents"];

export const InboxEvents = graphql(
  `
    subscription InboxEvents {
      inboxEvents {
        __typename
        ... on InboxSnapshot {
          rooms {
            roomId
            unreadCount
            unreadIsCapped
            mentionCount
          }
        }
        ... on UnreadChanged {
          unread: room {
            roomId
            unreadCount
            unreadIsCapped
            mentionCount
          }
        }
        ... on RoomListChanged {
          roomId
          change
          room {
            ...RoomCard
          }
        }
      }
    }
  `,
  [RoomCard],
);
export type InboxEvent = ResultOf<typeof InboxEvents>["inboxEvents"];
