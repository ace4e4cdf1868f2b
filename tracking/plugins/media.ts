import type { Plugin } from "../src/plugin";

const QUARTERS = [25, 50, 75, 100];
const MAX_EVENTS = 100;
const MAX_TITLE_CHARS = 100;

interface Watched {
  source: string;
  isPlaying: boolean;
  reached: number;
  events: number;
}

/** What is played of audio and video, and how much of it: parts heard twice count once. */
const plugin: Plugin = (sluice, host) => {
  const known = new WeakMap<HTMLMediaElement, Watched>();
  const playing = new Set<HTMLMediaElement>();

  const stateOf = (media: HTMLMediaElement): Watched => {
    const source = media.currentSrc;
    let state = known.get(media);
    // A player that goes on to the next item keeps its element.
    if (!state || state.source !== source) {
      state = { source, isPlaying: false, reached: 0, events: state ? state.events : 0 };
      known.set(media, state);
    }
    return state;
  };

  const tell = (name: string, media: HTMLMediaElement, properties?: object) => {
    const state = stateOf(media);
    if (state.events++ >= MAX_EVENTS) return;
    const { currentSrc, duration, localName, title } = media;
    const text = title || media.getAttribute("aria-label");
    sluice.track("media_" + name, {
      // A player that streams shows an address of its own making.
      src: /^http/.test(currentSrc) ? host.cleanUrl(currentSrc) : undefined,
      kind: localName,
      title: text && !media.closest("[data-sluice-mask]") ? host.redact(text).slice(0, MAX_TITLE_CHARS) : undefined,
      durationMs: isFinite(duration) ? ms(duration) : undefined,
      positionMs: ms(media.currentTime),
      playedMs: ms(playedSeconds(media)),
      ...properties,
    });
  };

  const play = (media: HTMLMediaElement) => {
    const state = stateOf(media);
    if (state.isPlaying) return;
    state.isPlaying = true;
    playing.add(media);
    tell("play", media);
  };
  const stop = (media: HTMLMediaElement, name: string) => {
    const state = stateOf(media);
    playing.delete(media);
    if (state.isPlaying) tell(name, media);
    state.isPlaying = false;
  };
  const progress = (media: HTMLMediaElement) => {
    const state = stateOf(media);
    // Rounded: players end a little before the end.
    const percent = Math.round((playedSeconds(media) / media.duration) * 100);
    for (const quarter of QUARTERS) {
      if (quarter > state.reached && percent >= quarter) {
        state.reached = quarter;
        tell("progress", media, { percent: quarter });
      }
    }
  };

  // Media events do not bubble, but are captured.
  const on = (type: string, run: (media: HTMLMediaElement) => void) =>
    host.listen(document, type, ({ target }: Event) => {
      if (target instanceof HTMLMediaElement && !host.isIgnored(target)) run(target);
    });
  on("play", (media) => media.seeking || play(media));
  // A drag along the timeline pauses too, and so does the end.
  on("pause", (media) => media.seeking || media.ended || stop(media, "pause"));
  on("timeupdate", (media) => {
    // It may have begun before we came.
    if (!media.paused && !media.seeking) play(media);
    progress(media);
  });
  on("ended", (media) => {
    progress(media);
    stop(media, "end");
  });
  host.onHide(() => playing.forEach((media) => tell("leave", media)));
};

const ms = (seconds: number) => Math.round(seconds * 1_000);

function playedSeconds({ played }: HTMLMediaElement): number {
  let seconds = 0;
  for (let i = 0; i < played.length; i++) seconds += played.end(i) - played.start(i);
  return seconds;
}

export default plugin;
