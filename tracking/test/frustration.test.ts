import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import frustration from "../plugins/frustration";
import { FakeElement, define, observing } from "./observing-host";

let mutate: () => void;
let isObserving = false;
let isTextSelected = false;
let cursor = "auto";
define({
  window: globalThis,
  document: {},
  location: { href: "https://shop.example/p" },
  ShadowRoot: class {},
  getSelection: () => ({ isCollapsed: !isTextSelected }),
  getComputedStyle: () => ({ cursor }),
  MutationObserver: class {
    constructor(private run: (records: { target: FakeElement }[]) => void) {}
    observe() {
      isObserving = true;
      mutate = () => isObserving && this.run([{ target: new FakeElement() }]);
    }
    disconnect() {
      isObserving = false;
    }
  },
});
mock.timers.enable({ apis: ["setTimeout"] });
beforeEach(() => {
  mock.timers.tick(10_000);
  isTextSelected = false;
  cursor = "auto";
});

function aPage(options = {}) {
  const page = observing(frustration, options);
  let now = 0;
  const anEvent = (element: object, fields: object) => {
    return { composedPath: () => [element], detail: 1, timeStamp: now, pageX: 10, pageY: 20, ...fields };
  };
  return {
    ...page,
    wait(ms: number) {
      now += ms;
      mock.timers.tick(ms);
    },
    click(element: object, fields = {}) {
      page.fire("pointerdown", anEvent(element, fields));
      this.clicked(element, fields);
    },
    clicked(element: object, fields = {}) {
      now++; // no two at once
      page.fire("click", anEvent(element, fields));
    },
  };
}
const aText = () => Object.assign(new FakeElement(), { localName: "p" });
const aField = () => Object.assign(new FakeElement(), { localName: "textarea" });

test("a burst of clicks is told once, when it is over, with all its clicks", () => {
  const page = aPage();
  const button = new FakeElement();
  for (let i = 0; i < 5; i++) {
    page.click(button, { pageX: 10 + i });
    page.wait(200);
  }
  assert.deepEqual(page.of("rage_click"), []);
  page.wait(1_000);
  const told = { selector: "#it", label: "label of it", x: 10, y: 20, clicks: 5, durationMs: 804 };
  assert.deepEqual(page.of("rage_click"), [told]);
});

test("slow, scattered, few or a keyboard's: no rage", () => {
  const page = aPage();
  const button = new FakeElement();
  for (let i = 0; i < 6; i++) {
    page.click(button);
    page.wait(600);
  }
  page.wait(2_000);
  for (let i = 0; i < 6; i++) page.click(button, { pageX: 100 * i });
  page.wait(2_000);
  page.click(button);
  page.click(button);
  page.wait(2_000);
  for (let i = 0; i < 6; i++) page.click(button, { detail: 0 });
  page.wait(2_000);
  assert.deepEqual(page.of("rage_click"), []);
});

test("three clicks that select a text are not rage; more are", () => {
  const page = aPage();
  isTextSelected = true;
  for (let i = 0; i < 3; i++) page.click(aText());
  page.wait(2_000);
  for (let i = 0; i < 3; i++) page.click(aField());
  page.wait(2_000);
  assert.deepEqual(page.of("rage_click"), []);
  for (let i = 0; i < 4; i++) page.click(aText());
  page.hide();
  assert.deepEqual(page.of("rage_click").map(({ clicks }) => clicks), [4]);
});

test("a label's click and the one it passes on are one press", () => {
  const page = aPage();
  const field = aField();
  const label = Object.assign(new FakeElement(), { localName: "label", control: field });
  for (let press = 1; press < 3; press++) {
    page.click(label);
    // Chromium gives it the time of the first, Firefox a later one.
    page.clicked(field);
  }
  page.hide();
  assert.deepEqual(page.of("rage_click"), []);
});

test("the limits are the page's to choose", () => {
  const page = aPage({ frustrationClicks: "2", frustrationRadius: "200", frustrationDeadMs: "300" });
  page.click(new FakeElement());
  page.click(new FakeElement(), { pageX: 150 });
  page.wait(300);
  assert.equal(page.of("dead_click").length, 2);
  page.wait(1_000);
  assert.equal(page.of("rage_click").length, 1);
});

test("a click that nothing answers is dead, and nothing is watched any longer", () => {
  const page = aPage();
  page.click(new FakeElement());
  assert.ok(isObserving);
  page.wait(999);
  assert.deepEqual(page.of("dead_click"), []);
  page.wait(1);
  assert.deepEqual(page.of("dead_click"), [{ selector: "#it", label: "label of it", x: 10, y: 20 }]);
  assert.equal(isObserving, false);
});

test("what looks like a button is one", () => {
  const page = aPage();
  page.click(aText());
  assert.equal(isObserving, false, "a click on text waits for nothing");
  page.wait(1_000);
  cursor = "pointer";
  page.click(aText());
  page.wait(1_000);
  assert.equal(page.of("dead_click").length, 1);
});

for (const answer of ["scroll", "focusin", "submit", "play"]) {
  test(`${answer} is an answer`, () => {
    const page = aPage();
    page.click(new FakeElement());
    page.wait(500);
    page.fire(answer);
    page.wait(1_000);
    assert.deepEqual(page.of("dead_click"), []);
  });
}

test("a change of the document is an answer: after the click, or already at the press", () => {
  const page = aPage();
  page.click(new FakeElement());
  page.wait(500);
  mutate();
  assert.equal(isObserving, false);
  page.wait(1_000);
  const event = { composedPath: () => [new FakeElement()], detail: 1, timeStamp: 9_000, pageX: 500, pageY: 20 };
  page.fire("pointerdown", event);
  mutate();
  page.fire("click", event);
  page.wait(1_000);
  assert.deepEqual(page.of("dead_click"), []);
});

test("another address is an answer; an empty fragment is none", () => {
  const page = aPage();
  page.click(new FakeElement());
  define({ location: { href: "https://shop.example/p?tab=2" } });
  page.wait(1_000);
  assert.deepEqual(page.of("dead_click"), []);
  page.click(new FakeElement());
  define({ location: { href: "https://shop.example/p?tab=2#" } });
  page.wait(1_000);
  assert.equal(page.of("dead_click").length, 1);
  define({ location: { href: "https://shop.example/p" } });
});

test("a link that the browser follows is not dead, whatever the next page takes", () => {
  const page = aPage();
  const link = (href: string) => Object.assign(new FakeElement(), { localName: "a", matching: ["a[href]"], href });
  page.click(link("https://shop.example/slow"));
  page.wait(1_000);
  assert.deepEqual(page.of("dead_click"), []);
  page.click(link("https://shop.example/slow"), { defaultPrevented: true });
  page.wait(1_000);
  page.click(link("https://shop.example/p#"));
  page.wait(1_000);
  assert.equal(page.of("dead_click").length, 2);
});

test("ignored elements are not looked at", () => {
  const page = aPage();
  const button = Object.assign(new FakeElement(), { ignored: true });
  for (let i = 0; i < 5; i++) page.click(button);
  page.wait(5_000);
  assert.deepEqual(page.tracked, []);
});
