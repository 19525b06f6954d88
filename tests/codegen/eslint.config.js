// The rules of graphql-eslint for schemas. What is refused here has its reason beside it.
import plugin from '@graphql-eslint/eslint-plugin'

const { configs, parser } = plugin

// Objects have an id, so that caches can place them. These are values: parts of an object, events, reports.
const VALUES = [
  'HttpHeader',
  'InvitePreview', // for people who may not know the id of the invite
  'MessageRevision',
  'PageInfo',
  'Presence',
  'ReactionGroup',
  'RoomPermissions',
  'RoomUnread',
  'ServerInfo',
  'ServerLimits',
  'SystemEvent',
  'TokenPair',
  'UserError',
  // events
  'InboxSnapshot',
  'MemberChanged',
  'MessageCreated',
  'MessageDeleted',
  'MessageDelivery',
  'MessageUpdated',
  'PresenceChange',
  'ReactionChanged',
  'ReadMarkerMoved',
  'RoomChanged',
  'RoomListChanged',
  'StreamEnded',
  'StreamReady',
  'ThreadUnreadChanged',
  'TypingState',
  'UnreadChanged',
]

export default [
  {
    files: ['schema.graphql'],
    languageOptions: { parser, parserOptions: { graphQLConfig: { schema: 'schema.graphql' } } },
    plugins: { '@graphql-eslint': plugin },
    rules: {
      ...configs['flat/schema-recommended'].rules,
      ...configs['flat/schema-relay'].rules,
      '@graphql-eslint/strict-id-in-types': [
        'error',
        { exceptions: { types: VALUES, suffixes: ['Connection', 'Edge', 'Payload'] } },
      ],
      // `User.username` is one word, not a field `name` with the prefix `user`. The rule has no exceptions.
      '@graphql-eslint/no-typename-prefix': 'off',
      '@graphql-eslint/relay-edge-types': [
        'error',
        {
          withEdgeSuffix: true,
          // The edge of MessageRevision: a revision has no id and is never loaded by itself.
          shouldImplementNode: false,
          // Short lists with an upper bound (`reactions`, `mentions`, `directPeers`), and the `nodes` of connections.
          listTypeCanWrapOnlyEdgeType: false,
        },
      ],
      // Some connections have one direction: who has read a message, search results, the audit log.
      '@graphql-eslint/relay-arguments': ['error', { includeBoth: false }],
    },
  },
]
