// Relay: a network whose subscriptions take the socket and whose queries and mutations take HTTP.
import relay from "relay-runtime";
import { roomcastClient } from "./roomcast.mjs";

const { Environment, Network, Observable, RecordSource, Store } = relay;

export function relayEnvironment({ httpUrl, wsUrl, accessToken, ...options }) {
  const socket = roomcastClient({ url: wsUrl, accessToken, ...options });
  const ask = async (operation, variables) => {
    const headers = {
      "content-type": "application/json",
      authorization: `Bearer ${await accessToken({ expired: false })}`,
    };
    const body = JSON.stringify({ query: operation.text, variables });
    return (await fetch(httpUrl, { method: "POST", headers, body })).json();
  };
  const listen = (operation, variables) =>
    Observable.create((sink) =>
      socket.subscribe({ operationName: operation.name, query: operation.text, variables }, sink),
    );
  return new Environment({ network: Network.create(ask, listen), store: new Store(new RecordSource()) });
}
