import { mkdir, readFile, writeFile } from "node:fs/promises";
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

const bundles = [
  { entry: "src/index.ts", folder: "dist", file: "tracking.js", target: "es2019" },
  { entry: "demo/trail-recorder.ts", folder: "site", file: "trail.js", target: "es2022" },
  {
    entry: "demo/panel.ts",
    folder: "site",
    file: "panel.js",
    target: "es2022",
    banner: `/*! Includes hyparquet and fzstd (MIT): see ${LICENSES} */`,
  },
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
  const outputs = [...(await Promise.all(bundles.map(bundle))), await licenses()];
  for (const { folder, file, contents } of outputs) {
    await mkdir(folders[folder], { recursive: true });
    await writeFile(join(folders[folder], file), contents);
  }
  return outputs;
}

async function bundle({ entry, folder, file, target, format = "iife", banner = "" }) {
  const result = await build({
    entryPoints: [join(tracking, entry)],
    absWorkingDir: tracking,
    bundle: true,
    minify: format === "iife",
    format,
    target,
    banner: { js: banner },
    legalComments: "none",
    charset: "utf8",
    write: false,
  });
  return { folder, file, contents: Buffer.from(result.outputFiles[0].contents) };
}

/** MIT asks that its notice travels with every copy, minified ones too. */
async function licenses() {
  const texts = ["hyparquet", "fzstd"].map(async (name) => {
    const text = await readFile(join(tracking, "node_modules", name, "LICENSE"), "utf8");
    return `${name}\n\n${text.trim()}\n`;
  });
  return { folder: "site", file: LICENSES, contents: Buffer.from((await Promise.all(texts)).join("\n\n")) };
}
