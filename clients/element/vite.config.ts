// One script with all that it needs: a page includes it and nothing else.
import { defineConfig } from "vite";

export default defineConfig({
  build: {
    target: "es2022",
    lib: { entry: "src/index.ts", formats: ["es"], fileName: () => "roomcast-room.js" },
  },
});
