// The build: three files with fixed names, so that a rebuild of the same sources changes no byte and needs no manifest.
import { defineConfig, type Plugin } from "vite";

const server = process.env["ROOMCAST_URL"] ?? "http://127.0.0.1:8000";

/** Removes the indentation of GraphQL documents, to make the script smaller. */
const minifiedDocuments: Plugin = {
  name: "minified-documents",
  transform(code, id) {
    if (!id.includes("/src/api/")) return null;
    const minified = (_: string, document: string) =>
      `graphql(\`${document.replace(/\s*([\s{}(),:])\s*/g, "$1").trim()}\``;
    return { code: code.replace(/graphql\(\s*`([^`]*)`/g, minified), map: null };
  },
};

export default defineConfig({
  plugins: [minifiedDocuments],
  base: "/static/app/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../src/roomcast/web/static/app",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    rollupOptions: { output: { entryFileNames: "app.js", assetFileNames: "app[extname]" } },
  },
  // `npm run dev` passes API requests on to a running roomcast.
  server: { proxy: { "/graphql": { target: server, ws: true }, "/files": server, "/uploads": server } },
});
