import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { minify } from "terser";
import { completeDist, readAssets } from "./dist.mjs";
import { assignDigits, chunkName } from "./plugin-digits.mjs";

const tracking = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where the committed bundles live. */
export const committed = {
  dist: join(tracking, "dist"),
  site: join(dirname(tracking), "nginx", "site", "assets"),
  plugin: join(tracking, "plugin-analytics", "dist"),
};

const LICENSES = "panel.licenses.txt";
const TRACKER_TARGET = "es2020"; // import(), which loads the chunks

// Nearly all of it runs at once: compiled while it arrives, beside the page's own work, and not
// function by function when the page waits for each. https://v8.dev/blog/explicit-compile-hints
const COMPILE_AHEAD = "//# allFunctionsCalledOnLoad\n";

// What is written out where it is called is smaller, and compresses to more where there is much of it.
const LARGER = { passes: 5, inline: 1 };

const trackers = [
  { entry: "src/index.ts", folder: "dist", file: "tracking.js", target: TRACKER_TARGET, banner: COMPILE_AHEAD, compress: LARGER },
  { entry: "src/views.ts", folder: "dist", file: "views.js", target: TRACKER_TARGET },
];

// Properties of the tracker's own objects, which nobody outside the bundle ever names. Not those
// of the API, of events, of what is stored, or of a browser's object: where a browser has the like (`add`,
// `write`, …) nothing of a browser's may be called by it in src/ (`Math.random` is).
const OWN_PROPERTIES =
  /^(batchSize|flushMs|idleMs|post|outbox|clock|makeBody|announce|add|wake|hide|discard|dropped|leave|stay|claim|retryAfterMs|read|write|hasEnded|after)$/;

const bundles = [
  { entry: "demo/trail-recorder.ts", folder: "site", file: "trail.js", target: "es2022" },
  {
    entry: "demo/panel.ts",
    folder: "site",
    file: "panel.js",
    target: "es2022",
    banner: `/*! Includes hyparquet and fzstd (MIT): see ${LICENSES} */`,
  },
  { entry: "demo/replay-player.ts", folder: "site", file: "replay-player.js", target: "es2022", banner: `/*! Includes rrweb, mitt, @xstate/fsm, hyparquet and fzstd (MIT): see ${LICENSES} */` },
  {
    entry: "plugin-analytics/src/index.ts",
    folder: "plugin",
    file: "sluice-plugin.js",
    target: "es2019",
    format: "esm", // its users bundle and minify it with their own
  },
];

/** Build every bundle into these folders; returns what was written. */
export async function bundleInto(folders) {
  const plugins = await bundlePlugins();
  const scripts = await Promise.all(trackers.map((one) => smallest({ ...one, define: plugins.define })));
  const outputs = [
    ...(await completeDist(scripts, plugins.chunks, plugins.places)),
    ...(await Promise.all(bundles.map(bundle))),
    await licenses(),
  ];
  for (const { folder, file, contents } of outputs) {
    await mkdir(folders[folder], { recursive: true });
    await writeFile(join(folders[folder], file), contents);
  }
  return outputs;
}

/**
 * The chunks. Their names tell nothing (filter lists know `web-vitals`, `rrweb` and their like):
 * a hash of what all of them hold, and a digit for each, by which the tracker finds it.
 */
async function bundlePlugins() {
  const names = (await readdir(join(tracking, "plugins")).catch(() => []))
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.slice(0, -3));
  const { places, present } = assignDigits(names, (await readAssets(committed.dist)).places);
  const bundled = await Promise.all(
    present.map(async (name, place) => {
      if (!name) return [];
      const entry = { entry: `plugins/${name}.ts`, target: TRACKER_TARGET, format: "esm", banner: COMPILE_AHEAD };
      return [{ name, place, contents: (await smallest(entry)).contents }];
    }),
  );
  const hash = createHash("sha256");
  for (const { contents } of bundled.flat()) hash.update(contents);
  const build = hash.digest("hex").slice(0, 8);
  return {
    places,
    chunks: bundled.flat().map((chunk) => ({ ...chunk, file: chunkName(build, chunk.place) })),
    define: { BUILD: JSON.stringify(build), PLUGINS: JSON.stringify(present.join(" ")) },
  };
}

async function bundle({ entry, folder, file, target, format = "iife", minify = format === "iife", banner = "", define }) {
  const result = await build({
    entryPoints: [join(tracking, entry)],
    absWorkingDir: tracking,
    bundle: true,
    minify,
    format,
    target,
    define,
    banner: { js: banner },
    legalComments: "none",
    charset: "utf8",
    write: false,
  });
  return { folder, file, contents: Buffer.from(result.outputFiles[0].contents) };
}

/** What every page of a site loads is worth a second, slower minifier: it is a twentieth smaller. */
async function smallest(one) {
  const { banner = "", format, compress, ...rest } = one;
  const { folder, file, contents } = await bundle({ ...rest, format: "esm", minify: false });
  const { code } = await minify(contents.toString(), {
    module: true,
    ecma: 2020,
    compress: { passes: 3, unsafe_arrows: true, pure_getters: true, ...compress },
    mangle: { properties: format === "esm" ? false : { builtins: true, regex: OWN_PROPERTIES } },
  });
  return { folder, file, contents: Buffer.from(banner + (format === "esm" ? code : `(()=>{${code}})();`)) };
}

/** MIT asks that its notice travels with every copy, minified ones too. */
async function licenses() {
  const texts = ["hyparquet", "fzstd", "mitt", "@xstate/fsm", "rrweb"].map(async (name) => {
    // rrweb's packages come without theirs.
    const file = name === "rrweb" ? "licenses/rrweb.txt" : `node_modules/${name}/LICENSE`;
    const text = await readFile(join(tracking, file), "utf8");
    return `${name}\n\n${text.trim()}\n`;
  });
  return { folder: "site", file: LICENSES, contents: Buffer.from((await Promise.all(texts)).join("\n\n")) };
}
