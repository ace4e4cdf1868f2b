import assert from "node:assert/strict";
import { test } from "node:test";
import media from "../plugins/media";
import { FakeElement, define, observing } from "./observing-host";

class FakeMedia extends FakeElement {
  override localName = "video";
  override matching: string[] = [];
  currentSrc = "https://cdn.example/a.mp4?token=1";
  title = "Tour for joe@example.com";
  duration = 100;
  currentTime = 0;
  paused = true;
  seeking = false;
  ended = false;
  ranges: [number, number][] = [];
  get played() {
    const { ranges } = this;
    return { length: ranges.length, start: (i: number) => ranges[i]![0], end: (i: number) => ranges[i]![1] };
  }
}
define({ document: {}, HTMLMediaElement: FakeMedia });

function aPlayer() {
  const page = observing(media);
  const target = new FakeMedia();
  const fire = (type: string) => page.fire(type, { target });
  return {
    ...page,
    target,
    fire,
    play() {
      target.paused = false;
      fire("play");
    },
    pause() {
      target.paused = true;
      fire("pause");
    },
    at(seconds: number, ...ranges: [number, number][]) {
      target.currentTime = seconds;
      target.ranges = ranges;
      fire("timeupdate");
    },
  };
}

test("play, pause, the quarters really played, and the end", () => {
  const player = aPlayer();
  player.play();
  player.at(30, [0, 30]);
  player.pause();
  player.play();
  player.at(95, [0, 30], [80, 95]); // jumped: three quarters were not played
  player.at(100, [0, 100]);
  player.target.ended = true;
  player.pause();
  player.fire("ended");
  assert.deepEqual(
    player.tracked.map(({ name, properties }) => [name, properties.percent ?? properties.playedMs]),
    [
      ["media_play", 0],
      ["media_progress", 25],
      ["media_pause", 30_000],
      ["media_play", 30_000],
      ["media_progress", 50],
      ["media_progress", 75],
      ["media_progress", 100],
      ["media_end", 100_000],
    ],
  );
  assert.deepEqual(player.tracked[0]!.properties, {
    src: "https://cdn.example/a.mp4?token=[redacted]",
    kind: "video",
    title: "Tour for [email]",
    durationMs: 100_000,
    positionMs: 0,
    playedMs: 0,
  });
});

test("a drag along the timeline is neither a pause nor a start", () => {
  const player = aPlayer();
  player.play();
  player.target.seeking = true;
  player.pause();
  player.play();
  player.target.seeking = false;
  assert.deepEqual(player.tracked.map(({ name }) => name), ["media_play"]);
});

test("what began before we came is told when it goes on", () => {
  const player = aPlayer();
  player.target.paused = false;
  player.at(3, [0, 3]);
  player.at(4, [0, 4]);
  assert.deepEqual(player.tracked.map(({ name }) => name), ["media_play"]);
});

test("left while it plays: how much was heard is told", () => {
  const player = aPlayer();
  player.play();
  player.at(12, [0, 12]);
  player.hide();
  player.pause();
  player.hide();
  assert.deepEqual(player.of("media_leave").map(({ playedMs }) => playedMs), [12_000]);
});

test("a stream has no length and its address is its own affair", () => {
  const player = aPlayer();
  player.target.duration = Infinity;
  player.target.currentSrc = "blob:https://shop.example/1";
  player.target.matching = ["[data-sluice-mask]"];
  player.play();
  player.at(50, [0, 50]);
  assert.deepEqual(player.tracked.map(({ name }) => name), ["media_play"]);
  const { src, durationMs, title } = player.tracked[0]!.properties;
  assert.deepEqual([src, durationMs, title], [undefined, undefined, undefined]);
});

test("the next item in the same player starts anew; a loop is bounded", () => {
  const player = aPlayer();
  player.play();
  player.at(50, [0, 50]);
  player.target.currentSrc = "https://cdn.example/b.mp4";
  player.at(30, [0, 30]);
  assert.deepEqual(player.of("media_progress").map(({ src, percent }) => [String(src).at(-1), percent]), [
    ["]", 25],
    ["]", 50],
    ["4", 25],
  ]);
  for (let i = 0; i < 500; i++) {
    player.pause();
    player.play();
  }
  assert.equal(player.tracked.length, 100);
});
