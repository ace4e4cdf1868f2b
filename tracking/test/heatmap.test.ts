import assert from "node:assert/strict";
import { test } from "node:test";
import heatmap from "../plugins/heatmap";
import { FakeElement, define, observing } from "./observing-host";

/** A page of 1000 × 3000 px in a window of 800 × 600, with frames and a clock turned by hand. */
function aPage(options = {}) {
  let now = 1_000;
  let frame: ((now: number) => void) | undefined;
  define({
    window: globalThis,
    document: { documentElement: { scrollWidth: 1_000, scrollHeight: 3_000 } },
    location: { href: "https://shop.example/p?token=1" },
    performance: { now: () => now },
    requestAnimationFrame: (run: (now: number) => void) => (frame = run),
    scrollY: 0,
    innerWidth: 800,
    innerHeight: 600,
  });
  const page = observing(heatmap, options);
  const draw = () => {
    const run = frame;
    frame = undefined;
    run?.(now);
  };
  draw();
  return {
    ...page,
    wait: (ms: number) => void (now += ms),
    draw,
    move(pageX: number, pageY: number, fields = {}) {
      page.fire("pointermove", { pointerType: "mouse", timeStamp: now, pageX, pageY, target: new FakeElement(), ...fields });
      draw();
    },
    scroll(top: number) {
      define({ scrollY: top });
      page.fire("scroll");
      draw();
    },
  };
}

test("moves are sampled, relative to the page's width", () => {
  const page = aPage();
  page.wait(500);
  page.move(500, 40);
  page.wait(50);
  page.move(510, 41); // too soon
  page.wait(50);
  page.move(250, 1_200);
  page.wait(100);
  page.move(1, 1, { pointerType: "touch" });
  page.move(2, 2, { target: Object.assign(new FakeElement(), { ignored: true }) });
  page.hide();
  assert.deepEqual(page.of("heatmap")[0]!.moves, [[500, 40, 500], [250, 1_200, 600]]);
});

test("time goes to the bands that were in view", () => {
  const page = aPage();
  page.wait(2_000);
  page.scroll(1_000);
  page.wait(500);
  page.hide();
  const [told] = page.of("heatmap");
  assert.deepEqual(told!.attention, [2_000, 2_000, 2_000, 0, 0, 500, 500, 500]);
  assert.deepEqual(
    [told!.scrollMax, told!.pageHeight, told!.viewportWidth, told!.viewportHeight, told!.bandPx],
    [1_600, 3_000, 800, 600, 200],
  );
});

test("hidden time counts nowhere, and twice hidden tells once", () => {
  const page = aPage();
  page.wait(100);
  page.hide();
  page.hide();
  page.wait(60_000);
  page.fire("visibilitychange");
  page.draw();
  page.wait(200);
  page.hide();
  assert.deepEqual(page.of("heatmap").map(({ attention }) => attention), [[100, 100, 100], [200, 200, 200]]);
});

test("a page nobody touches is looked at for half a minute", () => {
  const page = aPage();
  page.wait(3_600_000);
  page.hide();
  assert.deepEqual(page.of("heatmap")[0]!.attention, [30_000, 30_000, 30_000]);
});

test("moves and bands are bounded", () => {
  const page = aPage({ heatmapMoves: "10", heatmapBand: "10" });
  for (let i = 0; i < 50; i++) {
    page.wait(100);
    page.move(1, i);
  }
  page.scroll(2_000);
  page.wait(100);
  page.hide();
  const [told] = page.of("heatmap");
  assert.equal((told!.moves as []).length, 10);
  assert.ok((told!.attention as []).length <= 100);
});

test("a new view is told apart from the one before", () => {
  const page = aPage();
  page.wait(100);
  page.scroll(2_400);
  define({ location: { href: "https://shop.example/next" }, scrollY: 0 });
  page.wait(100);
  page.view();
  page.draw();
  page.wait(300);
  page.hide();
  assert.deepEqual(
    page.of("heatmap").map(({ viewUrl, scrollMax }) => [viewUrl, scrollMax]),
    [["https://shop.example/p?token=[redacted]", 3_000], ["https://shop.example/next", 600]],
  );
});
