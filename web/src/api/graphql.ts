/** Operations typed from the repository's schema.graphql: a change there that breaks the page does not compile. */
import { initGraphQLTada } from "gql.tada";
import type { introspection } from "./schema";

export const graphql = initGraphQLTada<{
  introspection: introspection;
  disableMasking: true;
  scalars: { Cursor: string; DateTime: string; Seq: number; URL: string; UUID: string };
}>();
