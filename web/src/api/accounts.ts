/** Operations on accounts: signing up and in, tokens, the viewer, and finding users. */
import type { FragmentOf, ResultOf } from "gql.tada";
import { graphql } from "./graphql";

export const Errors = graphql(`
  fragment Errors on MutationPayload {
    errors {
      code
      message
      path
      retryable
      retryAfterMs
    }
  }
`);

export const UserSummary = graphql(`
  fragment UserSummary on User {
    id
    username
    displayName
    avatarUrl
  }
`);
export type UserSummary = FragmentOf<typeof UserSummary>;

const TokenFields = graphql(`
  fragment TokenFields on TokenPair {
    accessToken
    accessTokenExpiresAt
    refreshToken
  }
`);
export type Tokens = FragmentOf<typeof TokenFields>;

export const ServerInfo = graphql(`
  query ServerInfo {
    serverInfo {
      version
      signupMode
    }
  }
`);
export type SignupMode = ResultOf<typeof ServerInfo>["serverInfo"]["signupMode"];

export const Signup = graphql(
  `
    mutation Signup($input: SignupInput!) {
      signup(input: $input) {
        ...Errors
        user {
          id
        }
        tokens {
          ...TokenFields
        }
      }
    }
  `,
  [Errors, TokenFields],
);

export const Login = graphql(
  `
    mutation Login($input: LoginInput!) {
      login(input: $input) {
        ...Errors
        user {
          id
        }
        tokens {
          ...TokenFields
        }
      }
    }
  `,
  [Errors, TokenFields],
);

export const RefreshSession = graphql(
  `
    mutation RefreshSession($input: RefreshSessionInput!) {
      refreshSession(input: $input) {
        ...Errors
        user {
          id
        }
        tokens {
          ...TokenFields
        }
      }
    }
  `,
  [Errors, TokenFields],
);

export const Logout = graphql(`
  mutation Logout {
    logout {
      errors {
        code
      }
    }
  }
`);

export const Me = graphql(
  `
    query Me {
      me {
        user {
          ...UserSummary
        }
      }
    }
  `,
  [UserSummary],
);

export const FindUsers = graphql(
  `
    query FindUsers($query: String!) {
      users(first: 20, filter: { query: $query }) {
        nodes {
          ...UserSummary
        }
      }
    }
  `,
  [UserSummary],
);
