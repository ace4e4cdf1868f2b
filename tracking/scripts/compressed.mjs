import { promisify } from "node:util";
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync } from "node:zlib";
import zopfli from "@gfx/zopfli";

const gzip = promisify(zopfli.gzip);

/** What a file is served as to those who take it compressed. Zlib's best is a fortieth larger than Zopfli's. */
export async function compressed(contents) {
  const params = {
    [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_SIZE_HINT]: contents.length,
  };
  return { br: brotliCompressSync(contents, { params }), gz: Buffer.from(await gzip(contents, {})) };
}

/** What a file of that name holds; null for what is not compressed as its name says. */
export function decompressed(file, contents) {
  try {
    if (file.endsWith(".br")) return brotliDecompressSync(contents);
    return file.endsWith(".gz") ? gunzipSync(contents) : contents;
  } catch {
    return null;
  }
}
