/** What the page asks about people and about being signed in. */
import type { FragmentOf, ResultOf } from "gql.tada";
import { graphql } from "./graphql";

export const Refused = graphql(`
  fragment Refused on UserError {
    code
    message
    path
    retryable
    retryAfterMs
  }
`);

export const PersonParts = graphql(`
  fragment PersonParts on User {
    id
    username
    displayName
    avatarUrl
  }
`);
export type Person = FragmentOf<typeof PersonParts>;

const Tokens = graphql(`
  fragment Tokens on TokenPair {
    accessToken
    accessTokenExpiresAt
    refreshToken
  }
`);
export type Tokens = FragmentOf<typeof Tokens>;

export const Server = graphql(`
  query Server {
    serverInfo {
      version
      signupMode
    }
  }
`);
export type SignupMode = ResultOf<typeof Server>["serverInfo"]["signupMode"];

export const SignUp = graphql(
  `
    mutation SignUp($input: SignupInput!) {
      signup(input: $input) {
        errors {
          ...Refused
        }
        user {
          id
        }
        tokens {
          ...Tokens
        }
      }
    }
  `,
  [Refused, Tokens],
);

export const SignIn = graphql(
  `
    mutation SignIn($input: LoginInput!) {
      login(input: $input) {
        errors {
          ...Refused
        }
        user {
          id
        }
        tokens {
          ...Tokens
        }
      }
    }
  `,
  [Refused, Tokens],
);

export const Renew = graphql(
  `
    mutation Renew($input: RefreshSessionInput!) {
      refreshSession(input: $input) {
        errors {
          ...Refused
        }
        user {
          id
        }
        tokens {
          ...Tokens
        }
      }
    }
  `,
  [Refused, Tokens],
);

export const SignOut = graphql(`
  mutation SignOut {
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
        id
        user {
          ...PersonParts
        }
      }
      serverInfo {
        limits {
          maxUploadBytes
          maxMessageLength
        }
      }
    }
  `,
  [PersonParts],
);

export const People = graphql(
  `
    query People($query: String!) {
      users(first: 20, filter: { query: $query }) {
        nodes {
          ...PersonParts
        }
      }
    }
  `,
  [PersonParts],
);
