// Every operation of the page is valid against the schema. The types do not find all errors, such as field conflicts.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { buildSchema, parse, print, validate } from "graphql";
import { load } from "./source.mjs";

const schema = buildSchema(readFileSync(new URL("../../schema.graphql", import.meta.url), "utf8"));
const files = readdirSync(new URL("../src/api", import.meta.url)).filter((name) =>
  /^(accounts|message|room|signals|subscriptions)/.test(name),
);

for (const file of files) {
  const documents = Object.entries(await load(`api/${file}`)).filter(([, value]) => value?.kind === "Document");
  for (const [name, document] of documents) {
    if (document.definitions[0].kind !== "OperationDefinition") continue;
    test(`${file}: ${name} is valid`, () => {
      assert.deepEqual(validate(schema, parse(print(document))).map(String), []);
    });
  }
}
