import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

// click-ui's own Icon carries every icon, flag and logo there is (1.3 MB). Its components get ours instead, which has
// the few that the console shows.
function fewIcons(): Plugin {
  const own = fileURLToPath(new URL('src/ui/Icon.tsx', import.meta.url));
  return {
    name: 'few-icons',
    enforce: 'pre',
    resolveId(source, importer) {
      if (importer?.includes('/click-ui/dist/esm/') && source.endsWith('/Icon/index.js')) return own;
      return null;
    },
  };
}

const clickUi = fileURLToPath(new URL('node_modules/@clickhouse/click-ui/dist/esm', import.meta.url));

export default defineConfig({
  plugins: [fewIcons(), react()],
  resolve: { alias: { 'click-ui-dist': clickUi } },
  build: {
    outDir: process.env.OWNHOUSE_CONSOLE_OUT ?? 'dist',
    emptyOutDir: true,
    target: 'es2022',
    sourcemap: false,
    assetsInlineLimit: 0, // nothing inline: the Content-Security-Policy forbids it
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    manifest: true,
  },
});
