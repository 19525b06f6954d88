// The build: three files with names that stay, so a rebuild of the same sources changes no byte and needs no manifest.
import { defineConfig, type Plugin } from "vite";

const server = process.env["ROOMCAST_URL"] ?? "http://127.0.0.1:8000";

/** Documents are indented for who reads them; the page's visitors need not load the spaces. */
const squeezedDocuments: Plugin = {
  name: "squeezed-documents",
  transform(code, id) {
    if (!id.includes("/src/api/")) return null;
    const squeezed = (_: string, document: string) =>
      `graphql(\`${document.replace(/\s*([\s{}(),:])\s*/g, "$1").trim()}\``;
    return { code: code.replace(/graphql\(\s*`([^`]*)`/g, squeezed), map: null };
  },
};

export default defineConfig({
  plugins: [squeezedDocuments],
  base: "/static/app/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../src/roomcast/web/static/app",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    rollupOptions: { output: { entryFileNames: "app.js", assetFileNames: "app[extname]" } },
  },
  // `npm run dev` shows changes at once, in front of a running roomcast.
  server: { proxy: { "/graphql": { target: server, ws: true }, "/files": server, "/uploads": server } },
});
