/** The subscriptions for the open room and for the list of rooms. */
import type { ResultOf } from "gql.tada";
import { UserSummary } from "./accounts";
import { graphql } from "./graphql";
import { SharedMessage, ThreadFields } from "./messages";
import { RoomFields, RoomSummary } from "./rooms";

export const RoomEvents = graphql(
  `
    subscription RoomEvents($roomId: ID!, $after: Cursor) {
      roomEvents(roomId: $roomId, after: $after) {
        __typename
        cursor
        ... on MessageCreated {
          message {
            ...SharedMessage
            threadRoot {
              id
              thread {
                ...ThreadFields
              }
            }
          }
        }
        ... on MessageUpdated {
          message {
            ...SharedMessage
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
            ...UserSummary
          }
        }
        ... on RoomChanged {
          room {
            ...RoomFields
          }
        }
        ... on StreamReady {
          recovered
        }
        ... on StreamEnded {
          reason
        }
      }
    }
  `,
  [SharedMessage, ThreadFields, UserSummary, RoomFields],
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
          unread {
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
            ...RoomSummary
          }
        }
      }
    }
  `,
  [RoomSummary],
);
export type InboxEvent = ResultOf<typeof InboxEvents>["inboxEvents"];
