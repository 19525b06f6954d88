/** Typing and presence: live signals that the server does not store. */
import type { ResultOf } from "gql.tada";
import { Errors, UserSummary } from "./accounts";
import { graphql } from "./graphql";

export const Typing = graphql(
  `
    subscription Typing($roomId: ID!) {
      typing(roomId: $roomId) {
        expiresInMs
        users {
          ...UserSummary
        }
      }
    }
  `,
  [UserSummary],
);
export type TypingState = ResultOf<typeof Typing>["typing"];

export const Presence = graphql(`
  subscription Presence($roomId: ID!) {
    presence(roomId: $roomId) {
      snapshot
      users {
        id
        presence {
          state
        }
      }
    }
  }
`);
export type PresenceChange = ResultOf<typeof Presence>["presence"];
export type PresenceState = PresenceChange["users"][number]["presence"]["state"];

export const SetTyping = graphql(
  `
    mutation SetTyping($input: SetTypingInput!) {
      setTyping(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);

export const SetPresence = graphql(
  `
    mutation SetPresence($input: SetPresenceInput!) {
      setPresence(input: $input) {
        ...Errors
      }
    }
  `,
  [Errors],
);
