/** What stands in `dist/` beside the trackers and their chunks. */
import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { compressed } from "./compressed.mjs";
import { standIn } from "./plugin-digits.mjs";

/** What the last build left to the next, of `assets.json`. */
export async function readAssets(dist) {
  const text = await readFile(join(dist, "assets.json"), "utf8").catch(() => "{}");
  return { assets: {}, places: [], ...JSON.parse(text) };
}

/**
 * Complete the folder, of its trackers and chunks: each tracker once more under a name that tells
 * its content, each chunk under its digit alone, all of it compressed, and `assets.json`.
 */
export async function completeDist(trackers, chunks, places) {
  const pinned = trackers.map(({ file, contents }) => ({ file: pinnedName(file, contents), contents }));
  const named = [...trackers, ...pinned, ...chunks];
  const standIns = chunks.map(({ place, contents }) => ({ file: standIn(place), contents }));
  const scripts = [...named, ...standIns];
  // Under another name it is the same.
  const packed = new Map();
  for (const { contents } of [...trackers, ...chunks]) packed.set(contents, await compressed(contents));
  const assets = {
    assets: Object.fromEntries(named.map(({ file, contents }) => [file, describe(contents)])),
    pinned: Object.fromEntries(trackers.map(({ file }, i) => [file, pinned[i].file])),
    plugins: Object.fromEntries(chunks.map(({ name, file }) => [name, file])),
    places,
  };
  return [
    ...scripts,
    ...scripts.flatMap(({ file, contents }) =>
      Object.entries(packed.get(contents)).map(([ending, contents]) => ({ file: `${file}.${ending}`, contents })),
    ),
    { file: "assets.json", contents: Buffer.from(JSON.stringify(assets, null, 2) + "\n") },
  ].map(({ file, contents }) => ({ folder: "dist", file, contents }));
}

/** Files that no build of these sources writes. A pinned tracker that somebody kept is not one. */
export async function findLeftovers(dist, outputs, before) {
  const written = new Set(outputs.filter(({ folder }) => folder === "dist").map(({ file }) => file));
  const isKept = (file) => {
    const script = file.replace(/\.(br|gz)$/, "");
    return /^[a-z]+\.[0-9a-f]{8}\.js$/.test(script) && !before.assets[script];
  };
  return (await readdir(dist)).filter((file) => !written.has(file) && !isKept(file));
}

function pinnedName(file, contents) {
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 8);
  return file.replace(/\.js$/, `.${hash}.js`);
}

function describe(contents) {
  return { bytes: contents.length, integrity: "sha384-" + createHash("sha384").update(contents).digest("base64") };
}
