/** Identifiers: UUIDv7 (RFC 9562) for what is ordered in time, UUIDv4 for what must not tell a time. */

const COUNTER_LIMIT = 0x1000;

let lastMs = 0;
let counter = 0;

/** A UUIDv7 greater than every one this page made before, also when the clock steps back. */
export function uuidv7(nowMs: number = Date.now()): string {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    // Seeded in the lower half, so that a busy millisecond has room to count up.
    counter = random16() & 0x7ff;
  } else if (++counter >= COUNTER_LIMIT) {
    lastMs++;
    counter = 0;
  }
  const time = hex(lastMs, 12);
  const tail = randomBytes(8);
  tail[0] = (tail[0]! & 0x3f) | 0x80;
  return format(time + hex(0x7000 | counter, 4) + hexBytes(tail));
}

/** A random UUIDv4: it says nothing about when or where it was made. */
export function uuidv4(): string {
  const bytes = randomBytes(16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return format(hexBytes(bytes));
}

// getRandomValues rather than randomUUID: the latter is missing on plain-http pages.
// https://developer.mozilla.org/docs/Web/API/Crypto/randomUUID
function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  try {
    crypto.getRandomValues(bytes);
  } catch {
    for (let i = 0; i < length; i++) bytes[i] = Math.random() * 256;
  }
  return bytes;
}

function random16(): number {
  const bytes = randomBytes(2);
  return (bytes[0]! << 8) | bytes[1]!;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

function hexBytes(bytes: Uint8Array): string {
  let text = "";
  bytes.forEach((byte) => (text += hex(byte, 2)));
  return text;
}

function format(digits: string): string {
  return digits.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}
