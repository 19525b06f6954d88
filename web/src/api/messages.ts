/** Queries of messages. */
import type { FragmentOf, ResultOf } from "gql.tada";
import { UserSummary } from "./accounts";
import { graphql } from "./graphql";
import { RoomFields, RoomViewerFields } from "./rooms";

export const ThreadFields = graphql(`
  fragment ThreadFields on Thread {
    replyCount
    lastReply {
      id
      createdAt
    }
  }
`);

const MessageFields = graphql(
  `
    fragment MessageFields on Message {
      id
      seq
      kind
      body
      bodyHtml
      createdAt
      editedAt
      deletedAt
      pinnedAt
      mentionsRoom
      threadRootId
      author {
        ...UserSummary
      }
      replyTo {
        id
        body
        author {
          id
          displayName
        }
      }
      thread {
        ...ThreadFields
      }
      mentions {
        id
        username
      }
      attachments {
        id
        filename
        contentType
        byteSize
        width
        height
        url
        thumbnailUrl
      }
    }
  `,
  [UserSummary, ThreadFields],
);

/** A message with the viewer's own fields, as queries and mutations return it. */
export const ViewerMessage = graphql(
  `
    fragment ViewerMessage on Message {
      ...MessageFields
      reactions {
        emoji
        count
        viewerHasReacted
      }
    }
  `,
  [MessageFields],
);
export type Message = FragmentOf<typeof ViewerMessage>;
export type Attachment = Message["attachments"][number];

/** A message as events carry it: without viewer fields, so that the server executes the document once per event. */
export const SharedMessage = graphql(
  `
    fragment SharedMessage on Message {
      ...MessageFields
      reactions {
        emoji
        count
      }
    }
  `,
  [MessageFields],
);
export type SharedMessage = FragmentOf<typeof SharedMessage>;

const MessagePage = graphql(
  `
    fragment MessagePage on MessageConnection {
      edges {
        cursor
        node {
          ...ViewerMessage
        }
      }
      pageInfo {
        hasPreviousPage
        hasNextPage
      }
    }
  `,
  [ViewerMessage],
);
export type MessagePage = FragmentOf<typeof MessagePage>;

/** A room and a page of messages from one snapshot. `roomEvents(after: streamCursor)` continues from it. */
export const OpenRoom = graphql(
  `
    query OpenRoom($roomId: ID!, $first: Int, $last: Int, $around: ID) {
      room(id: $roomId) {
        ...RoomFields
        ...RoomViewerFields
        streamCursor
        messages(first: $first, last: $last, around: $around) {
          ...MessagePage
        }
      }
    }
  `,
  [RoomFields, RoomViewerFields, MessagePage],
);
export type OpenRoomResult = NonNullable<ResultOf<typeof OpenRoom>["room"]>;

export const Messages = graphql(
  `
    query Messages(
      $roomId: ID!
      $threadRootId: ID
      $first: Int
      $last: Int
      $before: String
      $after: String
      $around: ID
    ) {
      messages(
        roomId: $roomId
        threadRootId: $threadRootId
        first: $first
        last: $last
        before: $before
        after: $after
        around: $around
      ) {
        ...MessagePage
      }
    }
  `,
  [MessagePage],
);

export const MessageById = graphql(
  `
    query MessageById($id: ID!) {
      message(id: $id) {
        ...ViewerMessage
      }
    }
  `,
  [ViewerMessage],
);

export const Pins = graphql(
  `
    query Pins($roomId: ID!) {
      room(id: $roomId) {
        pinnedMessages(first: 50) {
          nodes {
            ...ViewerMessage
          }
        }
      }
    }
  `,
  [ViewerMessage],
);

export const Search = graphql(
  `
    query Search($query: String!, $filter: MessageSearchFilter, $after: String) {
      searchMessages(query: $query, filter: $filter, first: 20, after: $after) {
        edges {
          snippetHtml
          node {
            id
            createdAt
            threadRootId
            author {
              ...UserSummary
            }
            room {
              id
              name
            }
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  `,
  [UserSummary],
);
export type SearchHit = NonNullable<ResultOf<typeof Search>["searchMessages"]>["edges"][number];
