import { parquetReadObjects } from "hyparquet";
import { decompress } from "fzstd";

/** One delivered row: columns by name, as the Parquet file has them. */
export type Row = { [column: string]: unknown };

interface DeliveredObject {
  dataset: string;
  key: string;
  format: string;
  rows: number;
  bytes: number;
  sha256: string;
}

interface Manifest {
  segment_id: number;
  window: { opened_at: string; sealed_at: string };
  counts: { [name: string]: number };
  objects: DeliveredObject[];
  previous: string | null;
}

/** A file that arrived, and what was read in it. */
export interface BucketFile {
  key: string;
  rows: number;
  bytes: number;
}

export interface Bucket {
  /** `silent`: there is no watermark, so nothing was exported yet or nothing is shown here. */
  status: "unread" | "silent" | "unreadable" | "read";
  problem: string;
  watermark: string;
  /** Newest first. */
  files: BucketFile[];
  rows: Row[];
}

const BUCKET = "/demo/bucket/";
const WATERMARK_KEY = "analytics/_sluice/watermark.json";
/** Manifests of windows in which something arrived; empty windows have theirs too. */
const MAX_MANIFESTS_WITH_EVENTS = 10;
const MAX_MANIFESTS = 40;
const MAX_ROWS = 300;
const MAX_FILE_BYTES = 8 * 1024 * 1024;

/** Reads the client bucket as any reader would: watermark, manifests, then the files they name. */
export function openBucket(): { poll(): Promise<Bucket> } {
  const seenManifests = new Set<string>();
  let bucket: Bucket = { status: "unread", problem: "", watermark: "", files: [], rows: [] };

  return {
    async poll() {
      try {
        const response = await fetch(BUCKET + WATERMARK_KEY, { cache: "no-store" });
        if (response.status === 404 || response.status === 403) {
          return (bucket = { ...bucket, status: bucket.files.length ? "read" : "silent" });
        }
        const { watermark, manifest } = await readJson<{ watermark: string; manifest: string }>(response);
        const { files, rows } = await readNewManifests(manifest, seenManifests);
        bucket = {
          status: "read",
          problem: "",
          watermark,
          files: [...files, ...bucket.files].slice(0, 50),
          rows: [...rows, ...bucket.rows].sort(byReceipt).slice(0, MAX_ROWS),
        };
      } catch (error) {
        bucket = { ...bucket, status: "unreadable", problem: String(error) };
      }
      return bucket;
    },
  };
}

async function readNewManifests(newest: string, seen: Set<string>): Promise<{ files: BucketFile[]; rows: Row[] }> {
  const files: BucketFile[] = [];
  const rows: Row[] = [];
  const read: string[] = [];
  // Back to the first one known already; the older part of a long chain is left alone.
  let withEvents = 0;
  for (let key: string | null = newest; key && !seen.has(key); ) {
    if (read.length === MAX_MANIFESTS || withEvents === MAX_MANIFESTS_WITH_EVENTS) break;
    const manifest: Manifest = await readJson<Manifest>(await fetch(bucketAddress(key)));
    if (manifest.objects.some(({ dataset }) => dataset === "events")) withEvents++;
    for (const object of manifest.objects) {
      if (object.dataset !== "events" || object.format !== "parquet") continue;
      files.push({ key: object.key, rows: object.rows, bytes: object.bytes });
      if (object.bytes <= MAX_FILE_BYTES) rows.push(...(await readRows(object.key)));
    }
    read.push(key);
    key = manifest.previous;
  }
  // Only now: a manifest whose files could not be read is read again next time.
  read.forEach((key) => seen.add(key));
  return { files, rows };
}

async function readRows(key: string): Promise<Row[]> {
  const response = await fetch(bucketAddress(key));
  if (!response.ok) throw new Error(`${key}: answered ${response.status}`);
  const rows = await parquetReadObjects({
    file: await response.arrayBuffer(),
    // hyparquet brings Snappy itself; Zstandard is what the exporter writes.
    compressors: { ZSTD: (input) => decompress(input) },
  });
  return rows.map((row) => ({ ...row, ...partitionsOf(key) }));
}

/** The partition columns stand in the key only: `…/site_id=localhost/…`. */
function partitionsOf(key: string): Row {
  const siteId = /\/site_id=([^/]+)\//.exec(key)?.[1];
  return siteId === undefined ? {} : { site_id: decodeURIComponent(siteId) };
}

async function readJson<Value>(response: Response): Promise<Value> {
  if (!response.ok) throw new Error(`${response.url}: answered ${response.status}`);
  return (await response.json()) as Value;
}

/** Newest first; a batch arrives in one moment, so then by when it happened. */
function byReceipt(a: Row, b: Row): number {
  return Number(b.received_at) - Number(a.received_at) || Number(b.occurred_at) - Number(a.occurred_at);
}

/** Where an object is served; a key may itself hold escapes, which are part of its name. */
export function bucketAddress(key: string): string {
  return BUCKET + encodeURI(key).replace(/[?#]/g, encodeURIComponent);
}
