// What a chat client with Relay declares. relay-compiler writes the types that are imported here.
import { graphql } from 'relay-runtime'

import type { chatHistory$data } from './__generated__/chatHistory.graphql'
import type { chatSendMutation } from './__generated__/chatSendMutation.graphql'
import type { chatUnread$data } from './__generated__/chatUnread.graphql'
import type { chatWatchSubscription$data } from './__generated__/chatWatchSubscription.graphql'

export const unread = graphql`
  fragment chatUnread on Viewer @refetchable(queryName: "chatUnreadQuery") {
    totalUnread
    totalMentions
  }
`

export const membership = graphql`
  fragment chatMembership on RoomMembership @refetchable(queryName: "chatMembershipQuery") {
    unreadCount
    mentionCount
  }
`

export const person = graphql`
  fragment chatPerson on User @refetchable(queryName: "chatPersonQuery") {
    username
    displayName
    avatarUrl
  }
`

export const message = graphql`
  fragment chatMessage on Message @refetchable(queryName: "chatMessageQuery") {
    seq
    body
    createdAt
    deletedAt
    author {
      ...chatPerson
    }
    reactions {
      emoji
      count
      viewerHasReacted
    }
  }
`

export const history = graphql`
  fragment chatHistory on Room
  @refetchable(queryName: "chatHistoryQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 50 }, before: { type: "String" }) {
    name
    messages(last: $count, before: $before) @connection(key: "chatHistory_messages") {
      streamCursor
      edges {
        node {
          id
          ...chatMessage
        }
      }
    }
  }
`

export const members = graphql`
  fragment chatMembers on Room
  @refetchable(queryName: "chatMembersQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 50 }, after: { type: "String" }) {
    members(first: $count, after: $after) @connection(key: "chatMembers_members") {
      edges {
        node {
          role
          user {
            ...chatPerson
          }
        }
      }
    }
  }
`

export const directory = graphql`
  fragment chatDirectory on Query
  @refetchable(queryName: "chatDirectoryQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 50 }, after: { type: "String" }) {
    rooms(first: $count, after: $after) @connection(key: "chatDirectory_rooms") {
      edges {
        node {
          id
          name
        }
      }
    }
  }
`

export const start = graphql`
  query chatStartQuery($roomId: ID!) {
    viewer {
      ...chatUnread
    }
    room(id: $roomId) {
      viewerMembership {
        ...chatMembership
      }
      ...chatHistory
      ...chatMembers
    }
    ...chatDirectory
  }
`

export const send = graphql`
  mutation chatSendMutation($input: SendMessageInput!, $connections: [ID!]!) {
    sendMessage(input: $input) {
      errors {
        code
        message
        path
      }
      replayed
      messageEdge @appendEdge(connections: $connections) {
        cursor
        node {
          ...chatMessage
        }
      }
    }
  }
`

export const leave = graphql`
  mutation chatDeleteRoomMutation($roomId: ID!) {
    deleteRoom(input: { roomId: $roomId }) {
      errors {
        code
      }
      deletedRoomId @deleteRecord
    }
  }
`

export const watch = graphql`
  subscription chatWatchSubscription($roomId: ID!, $after: Cursor, $connections: [ID!]!) {
    roomEvents(roomId: $roomId, after: $after) {
      __typename
      cursor
      ... on MessageCreated {
        messageEdge @appendEdge(connections: $connections) {
          cursor
          node {
            ...chatMessage
          }
        }
      }
      ... on MessageUpdated {
        message {
          ...chatMessage
        }
      }
      ... on MessageDeleted {
        message {
          ...chatMessage
        }
      }
      ... on ReactionChanged {
        message {
          ...chatMessage
        }
      }
      ... on MemberChanged {
        room {
          memberCount
        }
        member {
          role
        }
      }
      ... on RoomChanged {
        room {
          name
          topic
        }
      }
    }
  }
`

export const badge = ({ totalMentions, totalUnread }: chatUnread$data): string => `${totalMentions} of ${totalUnread}`

export const newestId = ({ messages }: chatHistory$data): string | undefined => messages?.edges.at(-1)?.node.id

export const draft = (roomId: string, body: string): chatSendMutation['variables'] => ({
  input: { roomId, body, clientMessageId: crypto.randomUUID() },
  connections: [],
})

export const cursorOf = ({ roomEvents }: chatWatchSubscription$data): string => roomEvents.cursor
