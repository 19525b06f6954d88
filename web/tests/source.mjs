// Loads the page's TypeScript modules in tests that run in Node.
import { fileURLToPath } from "node:url";
import { runnerImport } from "vite";

/** Returns a module by its path in `src/`. */
export async function load(path) {
  const file = fileURLToPath(new URL(`../src/${path}`, import.meta.url));
  const { module } = await runnerImport(file, { configFile: false, logLevel: "error" });
  return module;
}
