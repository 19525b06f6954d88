/** What passes and is not stored: who is here, who types. */
import type { ResultOf } from "gql.tada";
import { PersonParts, Refused } from "./accounts";
import { graphql } from "./graphql";

export const Typing = graphql(
  `
    subscription Typing($roomId: ID!) {
      typing(roomId: $roomId) {
        expiresInMs
        users {
          ...PersonParts
        }
      }
    }
  `,
  [PersonParts],
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

export const SayTyping = graphql(
  `
    mutation SayTyping($input: SetTypingInput!) {
      setTyping(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);

export const SayPresence = graphql(
  `
    mutation SayPresence($input: SetPresenceInput!) {
      setPresence(input: $input) {
        errors {
          ...Refused
        }
      }
    }
  `,
  [Refused],
);
