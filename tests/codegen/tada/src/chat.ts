// What a chat client with gql.tada declares, and what it does with the types.
import { initGraphQLTada, type FragmentOf, readFragment, type ResultOf, type VariablesOf } from 'gql.tada'

import type { introspection } from './schema.d.ts'

const graphql = initGraphQLTada<{
  introspection: introspection
  scalars: { Cursor: string; DateTime: string; Long: number; Seq: number; URL: string; UUID: string }
}>()

export const message = graphql(`
  fragment ChatMessage on Message {
    id
    seq
    kind
    body
    createdAt
    author {
      id
      displayName
    }
    systemEvent {
      kind
      name
      users {
        id
      }
    }
  }
`)

export const history = graphql(`
  query History($roomId: ID!, $before: String) {
    messages(roomId: $roomId, last: 50, before: $before) {
      nodes {
        ...ChatMessage
      }
      pageInfo {
        hasPreviousPage
        startCursor
      }
      streamCursor
    }
  }
`, [message])

export const info = graphql(`
  query Info {
    serverInfo {
      version
      capabilities
      limits {
        maxUploadBytes
        maxOperationCost
      }
    }
  }
`)

export const send = graphql(`
  mutation Send($input: SendMessageInput!) {
    sendMessage(input: $input) {
      errors {
        code
        message
        path
        retryAfterMs
      }
      message {
        ...ChatMessage
      }
    }
  }
`, [message])

export const join = graphql(`
  mutation Join($input: JoinRoomInput!) {
    joinRoom(input: $input) {
      errors {
        code
      }
      membership {
        id
        role
      }
    }
  }
`)

export const watch = graphql(`
  subscription Watch($roomId: ID!, $after: Cursor) {
    roomEvents(roomId: $roomId, after: $after) {
      __typename
      cursor
      ... on MessageCreated {
        message {
          ...ChatMessage
        }
      }
      ... on MemberChanged {
        change
        user {
          id
        }
      }
      ... on StreamEnded {
        reason
      }
    }
  }
`, [message])

export const inbox = graphql(`
  subscription Inbox {
    inboxEvents {
      __typename
      ... on InboxSnapshot {
        rooms {
          roomId
          unreadCount
        }
      }
      ... on UnreadChanged {
        totalUnread
      }
      ... on ThreadUnreadChanged {
        totalUnreadThreads
      }
    }
  }
`)

export function lineOf(masked: FragmentOf<typeof message>): string {
  const { author, body, systemEvent } = readFragment(message, masked)
  switch (systemEvent?.kind) {
    case undefined:
      return `${author?.displayName ?? ''}: ${body ?? ''}`
    case 'ROOM_RENAMED':
      return `The room is called ${systemEvent.name ?? ''} now`
    default:
      return body ?? ''
  }
}

export const lines = (page: ResultOf<typeof history>): string[] => page.messages?.nodes.map(lineOf) ?? []

// Optional means optional: what is left out needs no null.
export const draft = (roomId: string, body: string): VariablesOf<typeof send> => ({ input: { roomId, body } })

// An input with @oneOf is a union: each member has one of the fields.
export const byCode = (inviteCode: string): VariablesOf<typeof join> => ({ input: { inviteCode } })

// @ts-expect-error: one of the fields is needed
export const byNone: VariablesOf<typeof join> = { input: {} }

export function inform({ roomEvents: event }: ResultOf<typeof watch>): string {
  switch (event.__typename) {
    case 'MessageCreated':
      return lineOf(event.message)
    case 'MemberChanged':
      return `${event.user.id}: ${event.change}`
    case 'StreamEnded':
      return event.reason
    default:
      return event.cursor
  }
}

export function badge({ inboxEvents: event }: ResultOf<typeof inbox>): number | undefined {
  switch (event.__typename) {
    case 'InboxSnapshot':
      return event.rooms.reduce((sum, { unreadCount }) => sum + unreadCount, 0)
    case 'UnreadChanged':
      return event.totalUnread
    case 'ThreadUnreadChanged':
      return event.totalUnreadThreads
    default:
      return undefined
  }
}

// 64-bit counts of bytes are numbers.
export const fits = (size: number, { serverInfo }: ResultOf<typeof info>): boolean =>
  size <= serverInfo.limits.maxUploadBytes
