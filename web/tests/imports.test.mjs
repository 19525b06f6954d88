// No module of src/ imports itself, directly or through others, and no folder imports a higher one. Type imports count.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path/posix";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const SRC = fileURLToPath(new URL("../src", import.meta.url));
/** From low to high. Modules directly in src/ that are not listed belong to the top. */
const LAYERS = ["store.ts", "api", "state", "view"];
const IMPORT = /(?:\bfrom|^import)\s+"(\.[^"]+)"/gm;

const files = readdirSync(SRC, { recursive: true }).filter((name) => /\.tsx?$/.test(name) && !name.endsWith(".d.ts"));
const graph = new Map(files.map((file) => [file, importsOf(file)]));

function importsOf(file) {
  const targets = [...readFileSync(join(SRC, file), "utf8").matchAll(IMPORT)].map(([, path]) => path);
  const paths = targets.map((target) => join(dirname(file), target));
  return paths.flatMap((path) => [path, `${path}.ts`, `${path}.tsx`].filter((name) => files.includes(name)));
}

function layerOf(file) {
  const layer = LAYERS.indexOf(file.split("/")[0]);
  return layer < 0 ? LAYERS.length : layer;
}

/** The import chain from `file` back to a module of `path`, or null. */
function findCycle(file, path = [], visited = new Set()) {
  if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
  if (visited.has(file)) return null;
  visited.add(file);
  for (const next of graph.get(file)) {
    const cycle = findCycle(next, [...path, file], visited);
    if (cycle) return cycle;
  }
  return null;
}

test("the imports have no cycle", () => {
  assert.ok(graph.get("main.tsx")?.includes("view/App.tsx"), "the imports of main.tsx were not found");
  const visited = new Set();
  for (const file of files) assert.equal(findCycle(file, [], visited)?.join(" -> ") ?? null, null);
});

test("each folder imports only itself and lower ones", () => {
  const upwards = files.flatMap((file) =>
    graph.get(file).flatMap((next) => (layerOf(next) > layerOf(file) ? [`${file} -> ${next}`] : [])),
  );
  assert.deepEqual(upwards, []);
});
