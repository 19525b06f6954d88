// graphql-yoga with graphql-jit, graphql-ws and better-sqlite3. `messages` reads the database of roomcast in DATABASE and
// answers with the same JSON. `sendMessage` commits to STORE with a sync, then publishes to its in-memory pub/sub.
import { createHmac, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { useGraphQlJit } from '@envelop/graphql-jit'
import Database from 'better-sqlite3'
import { useServer } from 'graphql-ws/use/ws'
import { createPubSub, createSchema, createYoga } from 'graphql-yoga'
import { WebSocketServer } from 'ws'

// ------------------------------------------------------------------ reading

const database = new Database(process.env.DATABASE, { readonly: true })
const tokens = JSON.parse(process.env.TOKENS)
const readable = database.prepare(`
  SELECT 1 FROM rooms LEFT JOIN memberships ON room_id = id AND user_id = ?
  WHERE id = ? AND (user_id IS NOT NULL OR visibility = 'PUBLIC')`)
const page = database.prepare(`
  SELECT m.seq, m.id, m.body, m.created_at AS createdAt, u.id AS author, u.username, u.display_name AS displayName,
    u.avatar_id AS avatar, r.id AS reply, r.body AS replyBody, a.username AS replyAuthor
  FROM messages m LEFT JOIN users u ON u.id = m.author_id
  LEFT JOIN messages r ON r.id = m.reply_to_id LEFT JOIN users a ON a.id = r.author_id
  WHERE m.room_id = ? AND m.thread_root_id IS NULL ORDER BY m.seq DESC LIMIT ?`)
const reactions = database.prepare(`
  SELECT message_id AS message, emoji, count(*) AS count, max(user_id = ?) AS own
  FROM reactions WHERE message_id IN (SELECT value FROM json_each(?))
  GROUP BY message_id, emoji ORDER BY min(created_at), emoji`)

const uuid = (hex) => hex.replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
const timestamp = (stored) => `${stored.slice(0, 10)}T${stored.slice(11, 23)}Z`

function avatarUrl(avatar) {
  const until = (Math.floor(Date.now() / 86_400_000) + 2) * 86_400
  const signed = createHmac('sha256', Buffer.from(process.env.LINK_KEY, 'hex'))
  const signature = signed.update(`roomcast:thumbnails:${avatar}:${until}:`).digest('base64url')
  return `http://127.0.0.1/thumbnails/${avatar}?until=${until}&signature=${signature}`
}

function messages(_root, { roomId, last }, { request }) {
  const viewer = tokens[request.headers.get('authorization').slice('Bearer '.length)]
  const room = roomId.split('_')[1].replaceAll('-', '')
  if (!readable.get(viewer, room)) throw new Error('There is no such room.')
  const rows = page.all(room, last + 1)
  const hasPreviousPage = rows.length > last
  const shown = rows.slice(0, last).reverse()
  const reacted = Map.groupBy(reactions.all(viewer, JSON.stringify(shown.map((row) => row.id))), (row) => row.message)
  const urls = new Map(shown.map((row) => [row.avatar, row.avatar && avatarUrl(uuid(row.avatar))]))
  return { edges: shown.map((row) => edge(row, reacted.get(row.id) ?? [], urls)), pageInfo: { hasNextPage: false, hasPreviousPage } }
}

const edge = (row, reacted, urls) => ({
  cursor: Buffer.from(`["messages",${row.seq}]`).toString('base64url'),
  node: {
    id: `msg_${uuid(row.id)}`,
    seq: row.seq,
    body: row.body,
    createdAt: timestamp(row.createdAt),
    author: { id: `user_${uuid(row.author)}`, username: row.username, displayName: row.displayName, avatarUrl: urls.get(row.avatar) },
    reactions: reacted.map(({ emoji, count, own }) => ({ emoji, count, viewerHasReacted: own === 1 })),
    replyTo: row.reply && { id: `msg_${uuid(row.reply)}`, body: row.replyBody, author: { username: row.replyAuthor } },
  },
})

// ------------------------------------------------------------------ sending

const store = new Database(process.env.STORE)
store.pragma('journal_mode = WAL')
store.pragma('synchronous = FULL')
store.exec(`
  CREATE TABLE heads (room_id TEXT PRIMARY KEY, last_seq INTEGER NOT NULL);
  CREATE TABLE sent (room_id TEXT, seq INTEGER, id TEXT UNIQUE, body TEXT, created_at TEXT, PRIMARY KEY (room_id, seq));`)
const nextSeq = store.prepare(`
  INSERT INTO heads VALUES (?, 1) ON CONFLICT DO UPDATE SET last_seq = last_seq + 1 RETURNING last_seq`)
const insert = store.prepare('INSERT INTO sent VALUES (?, ?, ?, ?, ?)')
const append = store.transaction((roomId, body) => {
  const message = { id: `msg_${randomUUID()}`, seq: nextSeq.get(roomId).last_seq, body, createdAt: new Date().toISOString() }
  insert.run(roomId, message.seq, message.id, body, message.createdAt)
  return { ...message, author: { username: 'bench' } }
})
const pubsub = createPubSub()

function sendMessage(_root, { input: { roomId, body } }) {
  const message = append.immediate(roomId, body)
  pubsub.publish('room', roomId, { cursor: Buffer.from(`${roomId}${message.seq}`).toString('base64url'), message })
  return { errors: [], message }
}

// ------------------------------------------------------------------ serving

const yoga = createYoga({
  logging: false,
  graphiql: false,
  plugins: [useGraphQlJit()],
  schema: createSchema({
    typeDefs: `
      scalar DateTime
      type User { id: ID! username: String! displayName: String! avatarUrl: String }
      type Reaction { emoji: String! count: Int! viewerHasReacted: Boolean! }
      type Message {
        id: ID! seq: Int! body: String! createdAt: DateTime! author: User! reactions: [Reaction!]! replyTo: Message
      }
      type MessageEdge { cursor: String! node: Message! }
      type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! }
      type MessageConnection { edges: [MessageEdge!]! pageInfo: PageInfo! }
      type Query { messages(roomId: ID!, last: Int!): MessageConnection! }
      type UserError { code: String! }
      type SendMessagePayload { errors: [UserError!]! message: Message }
      input SendMessageInput { roomId: ID! body: String! }
      type Mutation { sendMessage(input: SendMessageInput!): SendMessagePayload! }
      type Delivery { cursor: String! message: Message! }
      type Subscription { roomMessages(roomId: ID!): Delivery! }
    `,
    resolvers: {
      Query: { messages },
      Mutation: { sendMessage },
      Subscription: {
        roomMessages: {
          subscribe: (_root, { roomId }) => pubsub.subscribe('room', roomId),
          resolve: (delivery) => delivery,
        },
      },
    },
  }),
})

const server = createServer((request, response) =>
  request.url === '/health' ? response.end('ok') : yoga(request, response),
)
const sockets = new WebSocketServer({ server, path: '/graphql', perMessageDeflate: false })
useServer(
  {
    execute: (args) => args.rootValue.execute(args),
    subscribe: (args) => args.rootValue.subscribe(args),
    onSubscribe: async (context, _id, params) => {
      const enveloped = yoga.getEnveloped({ ...context, req: context.extra.request, params })
      return {
        schema: enveloped.schema,
        operationName: params.operationName,
        document: enveloped.parse(params.query),
        variableValues: params.variables,
        contextValue: await enveloped.contextFactory(),
        rootValue: { execute: enveloped.execute, subscribe: enveloped.subscribe },
      }
    },
  },
  sockets,
)
server.listen(Number(process.env.PORT), '127.0.0.1')
