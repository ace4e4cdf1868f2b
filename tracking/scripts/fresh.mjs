/** Fail when a committed bundle is not what its sources build to. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundleInto, committed } from "./bundle.mjs";
import { decompressed } from "./compressed.mjs";
import { findLeftovers, readAssets } from "./dist.mjs";

const folder = await mkdtemp(join(tmpdir(), "sluice-fresh-"));
try {
  const elsewhere = Object.keys(committed).map((name) => [name, join(folder, name)]);
  const built = await bundleInto(Object.fromEntries(elsewhere));
  const stale = [];
  for (const { folder: name, file, contents } of built) {
    const present = await readFile(join(committed[name], file)).catch(() => null);
    // Another zlib makes other bytes of it: what comes out counts.
    if (!present || !decompressed(file, present)?.equals(decompressed(file, contents))) stale.push(file);
  }
  stale.push(...(await findLeftovers(committed.dist, built, await readAssets(committed.dist))));
  if (stale.length) {
    console.error(`Stale: ${stale.join(", ")}. Run "npm run build" and commit the result.`);
    process.exitCode = 1;
  } else {
    console.log(`Fresh: ${built.map(({ file }) => file).join(", ")}`);
  }
} finally {
  await rm(folder, { recursive: true });
}
