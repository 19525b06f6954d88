/** What the page asks about rooms and who is in them. */
import type { FragmentOf, ResultOf } from "gql.tada";
import { PersonParts } from "./accounts";
import { graphql } from "./graphql";

/** A room as it stands in lists. */
export const RoomCard = graphql(
  `
    fragment RoomCard on Room {
      id
      kind
      visibility
      name
      topic
      createdAt
      archivedAt
      memberCount
      directPeers {
        ...PersonParts
      }
      lastMessage {
        id
        createdAt
      }
      viewerMembership {
        favourite
        notificationLevel
        unreadCount
        unreadIsCapped
        mentionCount
      }
    }
  `,
  [PersonParts],
);
export type RoomCard = FragmentOf<typeof RoomCard>;

/** What can be told to everybody alike: no field of it depends on who looks. */
export const RoomFacts = graphql(`
  fragment RoomFacts on Room {
    id
    kind
    visibility
    name
    topic
    description
    archivedAt
    memberCount
  }
`);
export type RoomFacts = FragmentOf<typeof RoomFacts>;

/** The viewer's own place in a room. */
export const RoomPlace = graphql(
  `
    fragment RoomPlace on Room {
      directPeers {
        ...PersonParts
      }
      viewerMembership {
        role
        lastReadSeq
        unreadCount
        notificationLevel
        favourite
      }
      viewerPermissions {
        canSend
        canInvite
        canEditRoom
        canManageMembers
        canPin
        canDeleteOthersMessages
        canArchive
        canUpload
      }
    }
  `,
  [PersonParts],
);
export type RoomPlace = FragmentOf<typeof RoomPlace>;

export const MyRooms = graphql(
  `
    query MyRooms($after: String) {
      rooms(first: 100, after: $after) {
        nodes {
          ...RoomCard
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [RoomCard],
);

export const Directory = graphql(`
  query Directory($query: String) {
    rooms(first: 50, filter: { membership: DISCOVERABLE, query: $query }, orderBy: NAME_ASC) {
      nodes {
        id
        name
        topic
        memberCount
      }
    }
  }
`);

export const Place = graphql(
  `
    query Place($roomId: ID!) {
      room(id: $roomId) {
        ...RoomFacts
        ...RoomPlace
      }
    }
  `,
  [RoomFacts, RoomPlace],
);

export const Members = graphql(
  `
    query Members($roomId: ID!, $after: String) {
      room(id: $roomId) {
        members(first: 100, after: $after) {
          totalCount
          nodes {
            role
            mutedUntil
            user {
              ...PersonParts
            }
          }
          pageInfo {
            hasNextPage
            endCursor
          }
        }
      }
    }
  `,
  [PersonParts],
);
export type Member = NonNullable<ResultOf<typeof Members>["room"]>["members"]["nodes"][number];
export type Role = Member["role"];

export const Invitation = graphql(
  `
    query Invitation($code: String!) {
      invite(code: $code) {
        roomId
        roomName
        inviter {
          ...PersonParts
        }
      }
    }
  `,
  [PersonParts],
);
