import { rm } from "node:fs/promises";
import { join } from "node:path";
import { bundleInto, committed } from "./bundle.mjs";
import { findLeftovers, readAssets } from "./dist.mjs";

const before = await readAssets(committed.dist);
const built = await bundleInto(committed);
for (const file of await findLeftovers(committed.dist, built, before)) await rm(join(committed.dist, file));

const isSameAgain = /^(.|[a-z]+\.[0-9a-f]{8})\.js$/; // under another name
const bytes = Object.fromEntries(built.map(({ file, contents }) => [file, contents.length]));
for (const { file, contents } of built) {
  if (!file.endsWith(".js") || isSameAgain.test(file)) continue;
  const smaller = bytes[file + ".br"] ? `, ${bytes[file + ".gz"]} B gzip, ${bytes[file + ".br"]} B brotli` : "";
  console.log(`${file.padEnd(21)} ${contents.length} B${smaller}`);
}
