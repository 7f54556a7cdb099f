import { defineConfig } from "vite";

// The server sends `script-src 'self'; style-src 'self'`: nothing may be inlined, neither scripts nor data URLs.
export default defineConfig({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: {
    outDir: "../consumers/triptych/consumers/page/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    sourcemap: false,
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8780" } },
});
