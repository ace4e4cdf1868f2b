import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, test } from "node:test";
import { createHold } from "../plugins/replay/hold";
import { isSampled, rageDetector } from "../plugins/replay/interest";
import { maskEvent } from "../plugins/replay/mask";
import { CHUNK_BYTES, createUploader } from "../plugins/replay/upload";
import { HandClock, settled } from "./fakes";

interface Posted {
  body: any;
  packed: boolean;
  bytes: number;
  keepalive: boolean;
}

const usual = globalThis.fetch;
let posts: Posted[] = [];
let answer: (posted: Posted) => Response | Promise<Response>;

const stored = ({ body }: Posted) => Response.json({ accepted: 1, rejected: 0, sequence: body.sequence });

beforeEach(() => {
  posts = [];
  answer = stored;
  globalThis.fetch = (async (_: unknown, { body, keepalive, signal }: RequestInit) => {
    signal?.throwIfAborted();
    const packed = typeof body !== "string";
    const text = packed ? gunzipSync(body as Uint8Array).toString() : (body as string);
    const posted = { body: JSON.parse(text), packed, bytes: (body as string).length, keepalive: !!keepalive };
    posts.push(posted);
    return answer(posted);
  }) as typeof fetch;
});
afterEach(() => void (globalThis.fetch = usual));

function anUploader(maxBytes = 1_000_000) {
  const clock = new HandClock();
  const stops: number[] = [];
  const uploader = createUploader(
    {
      endpoint: "https://collector.example/api/v1/track/replay",
      envelope: () => ({ sessionId: "s-1", recordingId: "r-1" }),
      stopped: () => void stops.push(1),
      now: () => clock.now(),
      after: (ms, run) => clock.after(ms, run),
    },
    maxBytes,
  );
  return { uploader, clock, stops };
}

/** Packing takes turns of its own. */
async function until(holds: () => boolean): Promise<void> {
  for (let turns = 0; !holds(); turns++) {
    assert.ok(turns < 2_000, "it never came to that");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await settled();
}

const line = (n: number, text = "") => JSON.stringify({ type: 3, timestamp: n, data: { text } });
const noise = (length: number) => Array.from({ length }, () => Math.random().toString(36)[2]).join("");
const sequences = () => posts.map(({ body }) => body.sequence);

test("chunks go gzipped, one at a time, numbered from 0", async () => {
  const { uploader } = anUploader();
  let release = () => {};
  answer = async (posted) => {
    await new Promise<void>((resolve) => (release = resolve));
    return stored(posted);
  };
  [1, 2, 3].forEach((n) => uploader.add([line(n)]));
  await until(() => posts.length === 1);
  await settled();
  assert.equal(posts.length, 1, "the second waits for the first");
  release();
  await until(() => posts.length === 2);
  release();
  await until(() => posts.length === 3);
  assert.deepEqual(sequences(), [0, 1, 2]);
  assert.deepEqual(posts.map(({ packed }) => packed), [true, true, true]);
  assert.deepEqual(posts[0]!.body.events, [JSON.parse(line(1))]);
  assert.equal(posts[0]!.body.recordingId, "r-1");
});

test("a chunk that was not stored is sent again under its number, later each time", async () => {
  const { uploader, clock } = anUploader();
  answer = () => new Response("", { status: 503 });
  uploader.add([line(1)]);
  uploader.add([line(2)]);
  await until(() => posts.length === 1);
  await clock.turn(1_000);
  await until(() => posts.length === 2);
  await clock.turn(900);
  assert.equal(posts.length, 2, "the second wait is longer");
  answer = stored;
  await clock.turn(1_100);
  await until(() => posts.length === 4);
  assert.deepEqual(sequences(), [0, 0, 0, 1]);
});

test("Retry-After is waited for", async () => {
  const { uploader, clock } = anUploader();
  answer = () => new Response("", { status: 503, headers: { "retry-after": "60" } });
  uploader.add([line(1)]);
  await until(() => posts.length === 1);
  await clock.turn(59_000);
  assert.equal(posts.length, 1);
  await clock.turn(2_000);
  await until(() => posts.length === 2);
});

test("a 200 of somebody else's stores nothing", async () => {
  const { uploader, clock } = anUploader();
  answer = () => new Response("<html>log in");
  uploader.add([line(1)]);
  await until(() => posts.length === 1);
  answer = stored;
  await clock.turn(1_000);
  await until(() => posts.length === 2);
  assert.deepEqual(sequences(), [0, 0]);
});

for (const [why, given] of [
  ["it is not wanted", () => Response.json({ accepted: 0, rejected: 1, errors: [{ reason: "suppressed" }] })],
  ["it is refused", () => new Response("{}", { status: 403 })],
] as const) {
  test(`nothing more is sent when ${why}`, async () => {
    const { uploader, clock, stops } = anUploader();
    answer = given;
    uploader.add([line(1)]);
    uploader.add([line(2)]);
    await until(() => stops.length === 1);
    uploader.add([line(3)]);
    await clock.turn(600_000);
    assert.equal(posts.length, 1);
  });
}

test("what is larger than a chunk when it is packed is cut, and nothing is lost", async () => {
  const { uploader } = anUploader();
  const lines = Array.from({ length: 40 }, (_, n) => line(n, noise(5_000)));
  uploader.add(lines);
  uploader.add([line(40)]);
  await until(() => posts.some(({ body }) => body.events.some((e: any) => e.timestamp === 40)));
  assert.ok(posts.length > 3);
  assert.ok(posts.every(({ bytes }) => bytes <= CHUNK_BYTES));
  assert.deepEqual(sequences(), posts.map((_, n) => n));
  const times = posts.flatMap(({ body }) => body.events.map((e: any) => e.timestamp));
  assert.deepEqual(times, Array.from({ length: 41 }, (_, n) => n));
});

test("a picture larger than any body ends the recording", async () => {
  const { uploader, stops } = anUploader();
  uploader.add([line(1, noise(500_000))]);
  await until(() => stops.length === 1);
  assert.deepEqual([posts.length, stops], [0, [1]]);
});

test("what waits is bounded", async () => {
  const { uploader, stops } = anUploader(1_000);
  answer = () => new Response("", { status: 503 });
  for (let n = 0; n < 30; n++) uploader.add([line(n, "x".repeat(100))]);
  assert.deepEqual(stops, [1]);
});

test("while hiding, what fits is handed over as it is, and sent again only if it was not stored", async () => {
  const { uploader, clock } = anUploader();
  answer = () => new Response("", { status: 503 });
  uploader.add([line(1)]);
  await until(() => posts.length === 1);
  uploader.add([line(2)]);
  uploader.add([line(3, noise(30_000))]);
  answer = (posted) => (posted.keepalive && posted.body.sequence === 0 ? new Response("", { status: 503 }) : stored(posted));
  uploader.hide();
  await until(() => posts.length === 3);
  assert.deepEqual(posts.slice(1).map(({ keepalive, packed }) => [keepalive, packed]), [[true, false], [true, false]]);
  await clock.turn(2_000);
  await until(() => posts.length === 5);
  assert.deepEqual(sequences(), [0, 0, 1, 0, 2], "1 was stored while hiding");
});

test("after a stop nothing goes out, what is on its way is given up", async () => {
  const { uploader, clock, stops } = anUploader();
  answer = () => new Promise(() => {});
  uploader.add([line(1)]);
  uploader.add([line(2)]);
  await until(() => posts.length === 1);
  uploader.stop();
  uploader.add([line(3)]);
  uploader.hide();
  await clock.turn(600_000);
  assert.deepEqual([posts.length, stops], [1, [1]]);
});

// --- hold ---------------------------------------------------------------------------------------

test("held are the events from the last picture but one on", () => {
  const hold = createHold(10_000, () => assert.fail("there is room"));
  for (let n = 0; n < 40; n++) assert.ok(hold.add({ json: String(n), begins: n % 10 === 0 }));
  assert.deepEqual(hold.take().map(({ json }) => Number(json)), Array.from({ length: 20 }, (_, n) => n + 20));
  assert.deepEqual(hold.take(), []);
});

test("a hold stays within its bound, and asks for a new picture when it has to", () => {
  let asked = 0;
  const hold = createHold(1_000, () => asked++);
  hold.add({ json: "x".repeat(200), begins: true });
  for (let n = 0; n < 20; n++) assert.ok(hold.add({ json: "y".repeat(100), begins: false }));
  assert.ok(asked > 0);
  assert.ok(hold.take().reduce((sum, { json }) => sum + json.length, 0) <= 1_000);
});

test("a picture that no bound holds ends it", () => {
  const hold = createHold(1_000, () => {});
  hold.add({ json: "m", begins: true });
  assert.equal(hold.add({ json: "x".repeat(2_000), begins: false }), false);
});

// --- what is masked -----------------------------------------------------------------------------

function masked(data: object, textShown = false): any {
  const event = { type: 2, data };
  maskEvent(event, { textShown, cleanUrl: (address) => address.replace(/token=[^&]*/, "token=") });
  return event.data;
}

test("attributes that hold text are masked, those that a player needs are not", () => {
  const { attributes } = masked({
    tagName: "img",
    attributes: { alt: "A face", title: "My name", "aria-label": "Jane", "data-name": "Jane", class: "big", rr_width: "5px" },
  });
  assert.deepEqual(attributes, {
    alt: "* ****", title: "** ****", "aria-label": "****", "data-name": "****", class: "big", rr_width: "5px",
  });
  const viewport = { name: "viewport", content: "width=device-width" };
  assert.deepEqual(masked({ tagName: "meta", attributes: { ...viewport } }).attributes, viewport);
});

test("where text is shown, what was typed or chosen is masked all the same", () => {
  const data = masked(
    { tagName: "input", attributes: { value: "secret", title: "Name", checked: true, type: "radio" } },
    true,
  );
  assert.deepEqual(data.attributes, { value: "****", title: "Name", type: "radio" });
  assert.deepEqual(masked({ source: 5, text: "typed", isChecked: true, id: 3 }, true), {
    source: 5, text: "****", isChecked: false, id: 3,
  });
});

test("addresses lose what is secret in them, in the page and of the page", () => {
  assert.equal(masked({ href: "https://a.example/?token=1&x=2" }).href, "https://a.example/?token=&x=2");
  const link = masked({ tagName: "a", attributes: { href: "https://a.example/?token=1" } });
  assert.equal(link.attributes.href, "https://a.example/?token=");
  const image = masked({ tagName: "img", attributes: { src: "data:image/png;base64,token=1" } });
  assert.equal(image.attributes.src, "data:image/png;base64,token=1");
});

test("a page nested ten thousand deep is masked without a stack", () => {
  let node: any = { attributes: { title: "deep" } };
  const leaf = node;
  for (let n = 0; n < 10_000; n++) node = { childNodes: [node] };
  masked(node);
  assert.equal(leaf.attributes.title, "****");
});

// --- which sessions -----------------------------------------------------------------------------

test("a session is in the sample or not, and as many are as asked", () => {
  const ids = Array.from({ length: 20_000 }, (_, n) => `019aa1b2-7c1e-7a50-9d3e-${n.toString(16).padStart(12, "0")}`);
  assert.equal(ids.filter((id) => isSampled(id, 0)).length, 0);
  assert.equal(ids.filter((id) => isSampled(id, 1)).length, ids.length);
  const share = ids.filter((id) => isSampled(id, 0.1)).length / ids.length;
  assert.ok(share > 0.09 && share < 0.11, String(share));
});

test("three clicks in one place within a second are rage", () => {
  const isRage = rageDetector();
  const click = (timeStamp: number, clientX = 10) => isRage({ timeStamp, clientX, clientY: 10 });
  assert.deepEqual([click(0), click(300), click(1_400), click(1_450), click(1_500)], [false, false, false, false, true]);
  const apart = rageDetector();
  assert.equal([0, 50, 100].map((x) => apart({ timeStamp: x, clientX: x, clientY: 0 })).includes(true), false);
});
