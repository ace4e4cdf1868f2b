import { parquetReadObjects } from "hyparquet";
import { decompress } from "fzstd";
import { bucketAddress, type Row } from "./bucket";

/** A recording as the bucket's index has it, of all the objects that it stands in. */
export interface Recording {
  recordingId: string;
  sessionId: string;
  siteId: string;
  startedAt: Date;
  endedAt: Date;
  events: number;
  /** In the order of their sequence. */
  keys: string[];
}

interface Manifest {
  objects: { dataset: string; key: string }[];
  previous: string | null;
}

const WATERMARK_KEY = "analytics/_sluice/watermark.json";
const MAX_MANIFESTS = 200;

/** The newest recordings, by the index that stands beside them. */
export async function listRecordings(): Promise<Recording[]> {
  const found = new Map<string, Recording>();
  for (const row of (await readIndex()).sort((a, b) => Number(a.first_sequence) - Number(b.first_sequence))) {
    const id = [row.site_id, row.session_id, row.recording_id].join("|");
    const known = found.get(id);
    const key = String(row.key);
    if (!known) {
      found.set(id, {
        recordingId: String(row.recording_id),
        sessionId: String(row.session_id),
        siteId: String(row.site_id),
        startedAt: row.started_at as Date,
        endedAt: row.ended_at as Date,
        events: Number(row.events),
        keys: [key],
      });
      continue;
    }
    known.events += Number(row.events);
    if (Number(row.ended_at) > Number(known.endedAt)) known.endedAt = row.ended_at as Date;
    if (!known.keys.includes(key)) known.keys.push(key);
  }
  return [...found.values()].sort((a, b) => Number(b.startedAt) - Number(a.startedAt));
}

/** What rrweb's player takes: the events of one recording, from all of its objects, in order. */
export async function readRecording({ recordingId, keys }: Recording): Promise<any[]> {
  const chunks: { recordingId: string; sequence: number; events: any[] }[] = [];
  for (const key of keys) {
    const lines = (await readText(key)).split("\n").filter(Boolean);
    chunks.push(...lines.map((line) => JSON.parse(line)).filter((chunk) => chunk.recordingId === recordingId));
  }
  return chunks.sort((a, b) => a.sequence - b.sequence).flatMap(({ events }) => events);
}

async function readIndex(): Promise<Row[]> {
  const rows: Row[] = [];
  const response = await fetch(bucketAddress(WATERMARK_KEY), { cache: "no-store" });
  if (!response.ok) return rows;
  let { manifest: key }: { manifest: string | null } = await response.json();
  for (let read = 0; key && read < MAX_MANIFESTS; read++) {
    const manifest: Manifest = await (await get(key)).json();
    for (const object of manifest.objects) {
      if (object.dataset !== "replay_index") continue;
      const file = await (await get(object.key)).arrayBuffer();
      rows.push(...(await parquetReadObjects({ file, compressors: { ZSTD: (input) => decompress(input) } })));
    }
    key = manifest.previous;
  }
  return rows;
}

async function readText(key: string): Promise<string> {
  const body = await (await get(key)).blob();
  const head = new Uint8Array(await body.slice(0, 2).arrayBuffer());
  // Some servers say `Content-Encoding: gzip` of such a file, and then the browser has unpacked it.
  if (head[0] !== 0x1f || head[1] !== 0x8b) return body.text();
  return new Response(body.stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

async function get(key: string): Promise<Response> {
  const response = await fetch(bucketAddress(key));
  if (!response.ok) throw new Error(`${key}: answered ${response.status}`);
  return response;
}
