// Loads the lists of a chat into a normalised cache with the snippets of docs/clients.md, and says on standard output what
// they show whenever the cache changes.
import { ApolloClient, ApolloLink, HttpLink } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { OperationTypeNode, parse } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const { client, folder, url, wsUrl, token, roomId, markRead, last = 50 } = JSON.parse(process.argv[2]);
const load = (name) => import(`${folder}/${name}`);
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const { ROOMS, ROOM, ROOM_EVENTS, INBOX, MARK_READ } = await load("documents.mjs");
const { loadSchema } = await load("schema.mjs");
const SEARCH = `query Search { searchMessages(query: "hello", first: 50) {
  edges { node { id body reactions { emoji count viewerHasReacted } } }
} }`;
const socket = createClient({
  url: wsUrl,
  webSocketImpl: WebSocket,
  connectionParams: { authorization: token },
});
const headers = { authorization: `Bearer ${token}` };
let requests = 0;
const countingFetch = (...request) => ((requests += 1), fetch(...request));

const openers = {
  async apollo({ possibleTypes }) {
    const { createCache } = await load("apollo-cache.mjs");
    const { watchRoom } = await load("apollo-room.mjs");
    const isSubscription = ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION;
    const http = new HttpLink({ uri: url, headers, fetch: countingFetch });
    const link = ApolloLink.split(isSubscription, new GraphQLWsLink(socket), http);
    const apollo = new ApolloClient({ link, cache: createCache(possibleTypes) });
    return {
      watch: (query, variables, show) =>
        apollo.watchQuery({ query: parse(query), variables }).subscribe(({ data, loading }) => loading || show(data)),
      fetch: (query, variables) => apollo.query({ query: parse(query), variables, fetchPolicy: "network-only" }),
      mutate: (mutation, variables) => apollo.mutate({ mutation: parse(mutation), variables }),
      watchRoom: (after) => watchRoom(apollo, roomId, after),
      subscribe: (query) => apollo.subscribe({ query: parse(query) }).subscribe(() => {}),
    };
  },
  async graphcache(schema) {
    const { createCacheExchange } = await load("graphcache.mjs");
    const sockets = subscriptionExchange({
      forwardSubscription: (request) => ({ subscribe: (sink) => ({ unsubscribe: socket.subscribe(request, sink) }) }),
    });
    const urql = new Client({
      url,
      fetch: countingFetch,
      fetchOptions: { headers },
      exchanges: [createCacheExchange(schema), sockets, fetchExchange],
      preferGetMethod: false,
    });
    return {
      watch: (query, variables, show) =>
        urql.query(query, variables).subscribe(({ data, error }) => (error ? say({ failed: error.message }) : show(data))),
      fetch: (query, variables) => urql.query(query, variables).toPromise(),
      mutate: (mutation, variables) => urql.mutation(mutation, variables).toPromise(),
      watchRoom: (after) =>
        urql.subscription(ROOM_EVENTS, { roomId, after }).subscribe(({ error }) => error && say({ failed: error.message })),
      subscribe: (query) => urql.subscription(query, {}).subscribe(() => {}),
    };
  },
};

// ---------------------------------------------------------------- what is shown

const state = {};
const nodes = ({ edges }) => edges.map(({ node }) => node);
const row = ({ body, reactions }) => ({ body, reactions: (reactions ?? []).map(({ emoji, count }) => `${emoji} ${count}`) });

const shown = {
  rooms: ({ rooms }) =>
    nodes(rooms).map(({ topic, lastMessage, viewerMembership }) => ({
      topic,
      last: lastMessage && row(lastMessage),
      unread: viewerMembership.unreadCount,
    })),
  room: ({ room }) => ({
    topic: room.topic,
    memberCount: room.memberCount,
    messages: nodes(room.messages).map(row),
    members: nodes(room.members).map(({ user }) => user.displayName),
    streamCursor: room.messages.streamCursor,
    startCursor: room.messages.pageInfo.startCursor,
  }),
  found: ({ searchMessages }) => nodes(searchMessages).map(row),
};

function show(name, data) {
  state[name] = shown[name](data);
  say({ state, requests });
}

const { watch, fetch: fetchPage, mutate, watchRoom, subscribe } = await openers[client](await loadSchema(new URL(url).origin));

const firstResult = (query, variables, name) =>
  new Promise((resolve) => watch(query, variables, (data) => data && (show(name, data), resolve(data))));
const { room } = await firstResult(ROOM, { id: roomId, last }, "room");
await firstResult(ROOMS, {}, "rooms");
await firstResult(SEARCH, {}, "found");
say({ loaded: true });
if (markRead) await mutate(MARK_READ, { input: { roomId, upToMessageId: markRead } });
else if (last < 50) await fetchPage(ROOM, { id: roomId, last, before: room.messages.pageInfo.startCursor });
watchRoom(room.messages.streamCursor);
subscribe(INBOX);
say({ ready: true });
