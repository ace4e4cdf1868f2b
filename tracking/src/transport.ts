import { parseRetryAfterMs } from "./backoff";

/** What became of a body. Only `unavailable` is worth sending again. */
export type Outcome =
  | { kind: "accepted"; status: number; answer: unknown }
  | { kind: "refused"; status: number }
  | { kind: "too_large"; status: number }
  | { kind: "unavailable"; status: number; retryAfterMs?: number | undefined };

export interface Transport {
  /** Send and learn the outcome; with `keepalive` it outlives the page. Never rejects. */
  post(body: string, keepalive: boolean): Promise<Outcome>;
  /** Hand over to the browser, which sends it whatever becomes of the page; false when it won't. */
  beacon(body: string): boolean;
}

const TIMEOUT_MS = 10_000;

// The one type which needs no preflight: a JSON beacon across origins can be lost while returning true.
// https://crbug.com/490015
const CONTENT_TYPE = "text/plain;charset=UTF-8";

export function browserTransport(endpoint: string): Transport {
  return {
    async post(body, keepalive) {
      const abort = new AbortController();
      const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
      try {
        const response = await fetch(endpoint, {
          method: "POST",
          body,
          keepalive,
          headers: { "content-type": CONTENT_TYPE },
          // All the collector needs is in the body: the site's cookies are none of its business,
          // and without credentials a collector on another origin may answer with plain CORS.
          credentials: "omit",
          signal: abort.signal,
        });
        return outcomeOf(response.status, response.headers, await response.text());
      } catch {
        return { kind: "unavailable", status: 0 };
      } finally {
        clearTimeout(timer);
      }
    },
    beacon(body) {
      try {
        return navigator.sendBeacon(endpoint, new Blob([body], { type: CONTENT_TYPE }));
      } catch {
        return false;
      }
    },
  };
}

/** What an answer means for the events it answers. */
export function outcomeOf(status: number, headers: { get(name: string): string | null }, body: string): Outcome {
  if (status >= 200 && status < 300) return { kind: "accepted", status, answer: parse(body) };
  if (status === 413) return { kind: "too_large", status };
  if (status === 408 || status === 429 || status >= 500) {
    return { kind: "unavailable", status, retryAfterMs: parseRetryAfterMs(headers.get("retry-after"), Date.now()) };
  }
  return { kind: "refused", status };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
