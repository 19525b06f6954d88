/** What the page asks about messages. */
import type { FragmentOf, ResultOf } from "gql.tada";
import { PersonParts } from "./accounts";
import { graphql } from "./graphql";
import { RoomFacts, RoomPlace } from "./rooms";

export const ThreadParts = graphql(`
  fragment ThreadParts on ThreadSummary {
    replyCount
    lastReply {
      id
      createdAt
    }
  }
`);

const MessageParts = graphql(
  `
    fragment MessageParts on Message {
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
        ...PersonParts
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
        ...ThreadParts
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
  [PersonParts, ThreadParts],
);

/** A message as one's own queries show it. */
export const OwnView = graphql(
  `
    fragment OwnView on Message {
      ...MessageParts
      reactions {
        emoji
        count
        viewerHasReacted
      }
    }
  `,
  [MessageParts],
);
export type Message = FragmentOf<typeof OwnView>;
export type Attachment = Message["attachments"][number];

/** A message as events show it: without viewer fields, so that one execution serves everybody in the room. */
export const SharedView = graphql(
  `
    fragment SharedView on Message {
      ...MessageParts
      reactions {
        emoji
        count
      }
    }
  `,
  [MessageParts],
);
export type SharedMessage = FragmentOf<typeof SharedView>;

const PageParts = graphql(
  `
    fragment PageParts on MessageConnection {
      edges {
        cursor
        node {
          ...OwnView
        }
      }
      pageInfo {
        hasPreviousPage
        hasNextPage
      }
    }
  `,
  [OwnView],
);
export type Page = FragmentOf<typeof PageParts>;

/** A room and a page of it, from one snapshot: `streamCursor` is where its events go on. */
export const OpenRoom = graphql(
  `
    query OpenRoom($roomId: ID!, $first: Int, $last: Int, $around: ID) {
      room(id: $roomId) {
        ...RoomFacts
        ...RoomPlace
        streamCursor
        messages(first: $first, last: $last, around: $around) {
          ...PageParts
        }
      }
    }
  `,
  [RoomFacts, RoomPlace, PageParts],
);
export type OpenedRoom = NonNullable<ResultOf<typeof OpenRoom>["room"]>;

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
        ...PageParts
      }
    }
  `,
  [PageParts],
);

export const OneMessage = graphql(
  `
    query OneMessage($id: ID!) {
      message(id: $id) {
        ...OwnView
      }
    }
  `,
  [OwnView],
);

export const Pins = graphql(
  `
    query Pins($roomId: ID!) {
      room(id: $roomId) {
        pinnedMessages(first: 50) {
          nodes {
            ...OwnView
          }
        }
      }
    }
  `,
  [OwnView],
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
              ...PersonParts
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
  [PersonParts],
);
export type Found = ResultOf<typeof Search>["searchMessages"]["edges"][number];
