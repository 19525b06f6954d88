/** gql.tada on the repository's schema.graphql: operations that do not fit the schema do not compile. */
import { initGraphQLTada } from "gql.tada";
import type { introspection } from "./schema";

export const graphql = initGraphQLTada<{
  introspection: introspection;
  disableMasking: true;
  scalars: { Cursor: string; DateTime: string; Long: number; Seq: number; URL: string; UUID: string };
}>();
