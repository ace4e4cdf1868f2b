import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from "node:zlib";

/** What a file is served as to those who take it compressed: made once, as small as it gets. */
export function compressed(file, contents) {
  const params = {
    [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_SIZE_HINT]: contents.length,
  };
  return [
    { file: file + ".br", contents: brotliCompressSync(contents, { params }) },
    { file: file + ".gz", contents: gzipSync(contents, { level: 9 }) },
  ];
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
