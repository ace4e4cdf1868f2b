/** Identifiers: UUIDv7 (RFC 9562) for what is ordered in time, UUIDv4 for what must not tell a time. */

let last = 0;

/** A UUIDv7 greater than every one this page made before, also when the clock steps back. */
export function uuidv7(nowMs: number): string {
  // Milliseconds and, in 12 bits, a counter that begins anywhere in its lower half. Exact until 2039.
  return uuidAt((last = Math.max(nowMs * 4096 + Math.floor(Math.random() * 2048), last + 1)));
}

/** A UUIDv7 of this time, in 4,096ths of a millisecond. */
function uuidAt(ticks: number): string {
  const time = ticks.toString(16).padStart(15, "0");
  return time.replace(/(.{8})(.{4})/, "$1-$2-7") + uuidv4().slice(18);
}

/** A UUIDv7 of just this time, which may lie before that of others. */
export function sessionIdOf(beganMs: number): string {
  return uuidAt(beganMs * 4096);
}

/** A random UUIDv4: it says nothing about when or where it was made. */
export function uuidv4(): string {
  // getRandomValues rather than randomUUID: the latter is missing on plain-http pages. All bytes at
  // once: each call takes ten microseconds.
  // https://developer.mozilla.org/docs/Web/API/Crypto/randomUUID
  const bytes = crypto.getRandomValues(new Uint8Array(36));
  return "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (digit, at) =>
    (+digit ^ (bytes[at]! & (15 >> (+digit / 4)))).toString(16),
  );
}
