import { parseRetryAfterMs } from "./backoff";

/** What came back. Status 0: nothing did. */
export interface Outcome {
  status: number;
  retryAfterMs?: number;
  answer?: unknown;
}

/**
 * Send a body and learn what became of it; never rejects. With `keepalive` it outlives the page.
 * Compressing takes time, which it has until `hiding` resolves; without that it goes as it is, now.
 */
export type Post = (body: string, keepalive: boolean, hiding?: Promise<void>) => Promise<Outcome>;

const TIMEOUT_MS = 10_000;
const WORTH_COMPRESSING_CHARS = 1_500;

// The one type which needs no preflight: a JSON beacon across origins can be lost while returning true.
// https://crbug.com/490015
const CONTENT_TYPE = "text/plain;charset=UTF-8";

export function createPost(endpoint: string): Post {
  return async (body, keepalive, hiding) => {
    try {
      // Firefox knows keepalive since 133 only. A beacon has no answer: taken is all it can be.
      if (keepalive && !hiding && !("keepalive" in Request.prototype)) {
        const isTaken = navigator.sendBeacon(endpoint, new Blob([body], { type: CONTENT_TYPE }));
        return { status: isTaken ? 204 : 0, answer: { accepted: null } };
      }
      const response = await fetch(endpoint, {
        method: "POST",
        // The collector knows gzip by its first bytes; a header that said so would need a preflight.
        body:
          hiding && body.length > WORTH_COMPRESSING_CHARS
            ? await Promise.race([gzip(body), hiding.then(() => body)])
            : body,
        keepalive,
        headers: { "content-type": CONTENT_TYPE },
        // All the collector needs is in the body: the site's cookies are none of its business,
        // and without credentials a collector on another origin may answer with plain CORS.
        credentials: "omit",
        // Elsewhere the body would not arrive.
        redirect: "error",
        signal: AbortSignal.timeout?.(TIMEOUT_MS),
      });
      return {
        status: response.status,
        retryAfterMs: parseRetryAfterMs(response.headers.get("retry-after"), +new Date()),
        answer: await response.json().catch(() => {}),
      };
    } catch {
      return { status: 0 };
    }
  };
}

/** Compressed where the browser can, else as it is. */
function gzip(text: string): Promise<Blob> | string {
  return globalThis.CompressionStream
    ? new Response(new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"))).blob()
    : text;
}
