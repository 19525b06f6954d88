// Apollo Client 4: subscriptions over the socket, everything else over HTTP.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { roomcastClient } from "./roomcast.mjs";

export function apolloClient({ httpUrl, wsUrl, accessToken, ...options }) {
  const socket = new GraphQLWsLink(roomcastClient({ url: wsUrl, accessToken, ...options }));
  const signedIn = new SetContextLink(async ({ headers }) => ({
    headers: { ...headers, authorization: `Bearer ${await accessToken({ expired: false })}` },
  }));
  const isSubscription = ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION;
  const link = ApolloLink.split(isSubscription, socket, signedIn.concat(new HttpLink({ uri: httpUrl })));
  return new ApolloClient({ link, cache: new InMemoryCache() });
}
