/** Bundle each peer as a site would that installs it from npm: node build-peers.mjs FOLDER; prints what they weigh. */
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "../../tracking/node_modules/esbuild/lib/main.js";
import { weigh } from "../../tracking/scripts/budget.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2];
const sizes = {};
await mkdir(folder, { recursive: true });
for (const file of (await readdir(join(here, "peers"))).sort()) {
  const name = file.slice(0, -".mjs".length);
  const { outputFiles } = await build({
    entryPoints: [join(here, "peers", file)],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2020",
    charset: "utf8",
    legalComments: "none",
    write: false,
  });
  await writeFile(join(folder, name + ".js"), outputFiles[0].contents);
  sizes[name] = await weigh(outputFiles[0].contents);
}
console.log(JSON.stringify(sizes));
