// Compiles the package, and makes the files that it takes from the schema of the server.
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { buildSchema, isAbstractType } from "graphql";

const schemaFile = new URL("../../../schema.graphql", import.meta.url);
const package_ = new URL("../", import.meta.url);

rmSync(new URL("dist", package_), { recursive: true, force: true });
execFileSync("node", ["node_modules/typescript/bin/tsc"], { cwd: package_, stdio: "inherit" });
copyFileSync(schemaFile, new URL("schema.graphql", package_));

const schema = buildSchema(readFileSync(schemaFile, "utf8"));
const abstract = Object.values(schema.getTypeMap()).filter(isAbstractType);
const possible = abstract.map((type) => [type.name, schema.getPossibleTypes(type).map(({ name }) => name)]);
writeFileSync(new URL("possibleTypes.json", package_), JSON.stringify(Object.fromEntries(possible), null, 2) + "\n");
