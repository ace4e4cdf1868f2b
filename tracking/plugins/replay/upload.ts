import { gzip } from "./pack";

/** A numbered piece of the recording; sent again, it is the same piece. */
interface Chunk {
  sequence: number;
  lines: string[];
  packed?: Uint8Array<ArrayBuffer> | undefined;
  /** A server may have it, under its number. */
  isSent?: boolean;
}

export interface Sending {
  endpoint: string;
  /** All of the envelope but the sequence, the time and the events. */
  envelope(): { [name: string]: unknown };
  /** Run once, when nothing more is wanted or can be sent. */
  stopped(): void;
  now(): number;
  after(ms: number, run: () => void): () => void;
}

export interface Uploader {
  add(lines: string[]): void;
  /** Hand to the browser what fits; it stays queued until it is known to be stored. */
  hide(): void;
  /** Forget what waits, and what is on its way as far as that can still be stopped. */
  stop(): void;
}

/** A collector reads no larger body (docs/replay.md). */
const MAX_BODY_BYTES = 250_000;
export const CHUNK_BYTES = 48_000;
const TIMEOUT_MS = 20_000;
const FIRST_RETRY_MS = 1_000;
const MOST_RETRY_MS = 60_000;
const MOST_ASKED_MS = 600_000;
/** Of the 64 KiB that a page may hand to the browser while it goes, events need most. */
const HIDING_BYTES = 24_000;

/** Undefined where nothing more is to be sent. */
type Outcome = "stored" | "split" | { retryAfterMs: number } | undefined;

/** Sends chunks in order, one at a time, and each until it is stored; `maxBytes` of lines may wait. */
export function createUploader({ endpoint, envelope, stopped, now, after }: Sending, maxBytes: number): Uploader {
  let queue: Chunk[] = [];
  let next = 0;
  let waiting = 0;
  let inFlight: AbortController | undefined;
  let failures = 0;
  let cancelRetry: (() => void) | undefined;
  let isStopped = false;

  const stop = (): undefined => {
    if (!isStopped) {
      isStopped = true;
      queue = [];
      cancelRetry && cancelRetry();
      inFlight && inFlight.abort();
      stopped();
    }
  };

  const bodyOf = (chunk: Chunk) =>
    JSON.stringify({ ...envelope(), sequence: chunk.sequence, sentAt: now() }).slice(0, -1) +
    `,"events":[${chunk.lines.join()}]}`;

  const done = (chunk: Chunk) => {
    const at = queue.indexOf(chunk);
    if (at < 0) return;
    queue.splice(at, 1);
    waiting -= sizeOf(chunk.lines);
  };

  const post = async (chunk: Chunk, body: BodyInit, keepalive: boolean, abort?: AbortController): Promise<Outcome> => {
    let retryAfterMs = 0;
    chunk.isSent = true;
    try {
      const response = await fetch(endpoint, {
        method: "POST",
        body,
        keepalive,
        // No header says that it is gzip: that would take a preflight, and its first bytes tell.
        credentials: "omit",
        signal: abort ? abort.signal : null,
      });
      const { status } = response;
      retryAfterMs = Number(response.headers.get("retry-after")) * 1000 || 0;
      if (status === 200) {
        const answer = await response.json();
        // A 200 of somebody else's (a login page of a hotel's network) stores nothing.
        if (answer.accepted === 1 && answer.sequence === chunk.sequence) return "stored";
        if (answer.accepted === 0) return stop();
      } else if (status >= 400 && status < 500 && status !== 408 && status !== 429) return stop();
    } catch {
      /* no answer, or none that can be read */
    }
    return { retryAfterMs };
  };

  const attempt = async (chunk: Chunk, abort: AbortController): Promise<Outcome> => {
    const text = bodyOf(chunk);
    chunk.packed = await gzip(text).catch(() => undefined);
    const body = chunk.packed || text;
    // A piece that a server may have has its number for good.
    if (body.length > CHUNK_BYTES && chunk.lines.length > 1 && !queue.some((one) => one.isSent)) return "split";
    if (body.length > MAX_BODY_BYTES) return stop();
    const cancel = after(TIMEOUT_MS, () => abort.abort());
    const outcome = await post(chunk, body, false, abort);
    cancel();
    // It says when it was sent, which is told anew.
    chunk.packed = undefined;
    return outcome;
  };

  const send = (): void => {
    const chunk = queue[0];
    if (isStopped || !chunk || inFlight || cancelRetry) return;
    void attempt(chunk, (inFlight = new AbortController())).then((outcome) => {
      inFlight = undefined;
      if (isStopped) return;
      if (outcome === "split") split(chunk);
      else if (outcome === "stored") {
        failures = 0;
        done(chunk);
      } else if (queue[0] === chunk) retry((outcome as { retryAfterMs: number }).retryAfterMs);
      send();
    });
  };

  const retry = (retryAfterMs: number) => {
    // Doubling, half of it random: browsers that failed together do not come back together.
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** failures++, MOST_RETRY_MS) * (0.5 + Math.random() / 2);
    cancelRetry = after(Math.max(delayMs, Math.min(retryAfterMs, MOST_ASKED_MS)), () => {
      cancelRetry = undefined;
      send();
    });
  };

  /** In two; those behind it are numbered anew, and none of them was sent. */
  const split = ({ sequence, lines }: Chunk) => {
    const half = lines.length >> 1;
    queue = [lines.slice(0, half), lines.slice(half), ...queue.slice(1).map((other) => other.lines)].map(
      (own, at) => ({ sequence: sequence + at, lines: own }),
    );
    next = sequence + queue.length;
  };

  return {
    add(lines) {
      if (isStopped || !lines.length) return;
      queue.push({ sequence: next++, lines });
      waiting += sizeOf(lines);
      if (waiting > maxBytes) stop();
      send();
    },
    hide() {
      let room = HIDING_BYTES;
      for (const chunk of queue) {
        const body = chunk.packed || bodyOf(chunk);
        room -= body.length;
        if (room < 0) return;
        void post(chunk, body, true).then((outcome) => outcome === "stored" && done(chunk));
      }
    },
    stop,
  };
}

function sizeOf(lines: string[]): number {
  return lines.reduce((sum, line) => sum + line.length, 0);
}
