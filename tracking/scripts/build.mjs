import { gzipSync } from "node:zlib";
import { bundleInto, committed } from "./bundle.mjs";

for (const { file, contents } of await bundleInto(committed)) {
  console.log(`${file.padEnd(12)} ${contents.length} B, ${gzipSync(contents, { level: 9 }).length} B gzip`);
}
