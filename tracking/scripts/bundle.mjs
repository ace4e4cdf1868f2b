import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const tracking = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where the committed bundles live. */
export const committed = {
  dist: join(tracking, "dist"),
  site: join(dirname(tracking), "nginx", "site", "assets"),
  plugin: join(tracking, "plugin-analytics", "dist"),
};

const LICENSES = "panel.licenses.txt";
const TRACKER_TARGET = "es2020"; // import(), which loads the chunks

const trackers = [
  { entry: "src/index.ts", folder: "dist", file: "tracking.js", target: TRACKER_TARGET },
];

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
  const outputs = [
    ...(await Promise.all(trackers.map((one) => bundle({ ...one, define: plugins.define })))),
    ...(await Promise.all(bundles.map(bundle))),
    ...plugins.outputs,
    await licenses(),
  ];
  outputs.push(describe(outputs, plugins.names));
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
    .map((file) => file.slice(0, -3))
    .sort();
  const chunks = await Promise.all(
    names.map((name) =>
      bundle({ entry: `plugins/${name}.ts`, folder: "dist", target: TRACKER_TARGET, format: "esm", minify: true }),
    ),
  );
  const hash = createHash("sha256");
  for (const { contents } of chunks) hash.update(contents);
  const build = hash.digest("hex").slice(0, 8);
  return {
    names: Object.fromEntries(names.map((name, i) => [name, build + i.toString(36) + ".js"])),
    outputs: chunks.map((chunk, i) => ({ ...chunk, file: build + i.toString(36) + ".js" })),
    define: { BUILD: JSON.stringify(build), PLUGINS: JSON.stringify(names.join(" ")) },
  };
}

/** What stands in `dist/`, for whoever serves, checks or pins it. */
function describe(outputs, plugins) {
  const files = outputs.filter(({ folder }) => folder === "dist");
  const assets = Object.fromEntries(
    files.map(({ file, contents }) => [
      file,
      { bytes: contents.length, integrity: "sha384-" + createHash("sha384").update(contents).digest("base64") },
    ]),
  );
  const contents = Buffer.from(JSON.stringify({ assets, plugins }, null, 2) + "\n");
  return { folder: "dist", file: "assets.json", contents };
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
