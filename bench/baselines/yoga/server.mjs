// The usual setup on Node: graphql-yoga with graphql-ws and its in-memory pub/sub. Nothing is stored.
import { createServer } from 'node:http'
import { createPubSub, createSchema, createYoga } from 'graphql-yoga'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'

const pubsub = createPubSub()
let seq = 0

const yoga = createYoga({
  logging: false,
  graphiql: false,
  schema: createSchema({
    typeDefs: `
      scalar DateTime
      type User { username: String! }
      type Message { id: ID! seq: Int! body: String! createdAt: DateTime! author: User! }
      type Delivery { cursor: String! message: Message! }
      type Query { ok: Boolean! }
      type Mutation { sendMessage(roomId: ID!, body: String!): Boolean! }
      type Subscription { roomMessages(roomId: ID!): Delivery! }
    `,
    resolvers: {
      Mutation: {
        sendMessage: (_root, { roomId, body }) => {
          seq += 1
          const id = 'msg_01a1fde4-f66d-727e-816f-ed6a06152a76'
          const message = { id, seq, body, createdAt: new Date().toISOString(), author: { username: 'ann' } }
          const cursor = 'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
          pubsub.publish('room', roomId, { cursor, message })
          return true
        },
      },
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
