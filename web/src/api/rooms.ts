/** Queries of rooms and their members. */
import type { FragmentOf, ResultOf } from "gql.tada";
import { UserSummary } from "./accounts";
import { graphql } from "./graphql";

/** A room in the list of rooms. */
export const RoomSummary = graphql(
  `
    fragment RoomSummary on Room {
      id
      kind
      visibility
      name
      topic
      createdAt
      archivedAt
      memberCount
      directPeers {
        ...UserSummary
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
  [UserSummary],
);
export type RoomSummary = FragmentOf<typeof RoomSummary>;

/** The fields of a room that are the same for every viewer. Events carry them. */
export const RoomFields = graphql(`
  fragment RoomFields on Room {
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
export type RoomFields = FragmentOf<typeof RoomFields>;

/** The fields of a room that depend on the viewer: membership and permissions. */
export const RoomViewerFields = graphql(
  `
    fragment RoomViewerFields on Room {
      directPeers {
        ...UserSummary
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
  [UserSummary],
);
export type RoomViewerFields = FragmentOf<typeof RoomViewerFields>;

export const MyRooms = graphql(
  `
    query MyRooms($after: String) {
      rooms(first: 100, after: $after) {
        nodes {
          ...RoomSummary
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [RoomSummary],
);

export const DiscoverableRooms = graphql(`
  query DiscoverableRooms($query: String) {
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

export const RoomById = graphql(
  `
    query RoomById($roomId: ID!) {
      room(id: $roomId) {
        ...RoomFields
        ...RoomViewerFields
      }
    }
  `,
  [RoomFields, RoomViewerFields],
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
              ...UserSummary
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
  [UserSummary],
);
export type Member = NonNullable<ResultOf<typeof Members>["room"]>["members"]["nodes"][number];
export type Role = Member["role"];

export const InvitePreview = graphql(
  `
    query InvitePreview($code: String!) {
      invite(code: $code) {
        roomId
        roomName
        inviter {
          ...UserSummary
        }
      }
    }
  `,
  [UserSummary],
);
