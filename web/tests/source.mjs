// The page's TypeScript, for tests that run in Node.
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

/** A module of `src/`, by its path there. */
export async function load(path) {
  const file = fileURLToPath(new URL(`../src/${path}`, import.meta.url));
  const { module } = await runnerImport(file, { configFile: false, logLevel: "error" });
  return module;
}
