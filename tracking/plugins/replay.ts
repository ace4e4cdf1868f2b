/**
 * Records the page with rrweb, and sends the recording in chunks. Settings, all on the script tag:
 * `data-replay-sample` (0..1, 0 when left out), `data-replay-interesting="error rage checkout_failed"`,
 * `data-replay-text="shown"`, `data-replay-endpoint`. On `window` the page may dispatch
 * `new CustomEvent("sluice:replay", { detail: "start" | "keep" | "stop" })`.
 */
import { record } from "@rrweb/record";
import type { Host, Plugin } from "../src/plugin";
import { isTooLarge, watchFlood } from "./replay/flood";
import { createHold } from "./replay/hold";
import { isSampled, watchInterest } from "./replay/interest";
import { maskEvent, maskInput, maskText } from "./replay/mask";
import { createUploader } from "./replay/upload";

const PATH = "/api/v1/track/replay";
const CUT_MS = 5_000;
/** Of lines, gzipped to a tenth as a rule. */
const CUT_BYTES = 200_000;
const MAX_RECORDERS = 3;
const MAX_WAITING_BYTES = 4_000_000;
const MAX_HELD_BYTES = 2_000_000;
const PICTURE_MS = 30_000;
const SLICE_MS = 5;
const CALM_MS = 2_000;
/** Of nobody doing anything, after which nobody is taken to watch what moves by itself. */
const ALONE_MS = 5 * 60_000;
const BY_HAND = ["pointermove", "pointerdown", "keydown", "wheel", "touchstart", "click"];
const META = 4;
const PICTURE = 2;
const BLOCKED = "[data-sluice-ignore],[data-sluice-block]";
const TYPED = "textarea,[contenteditable],[data-sluice-mask]";
const KEPT = "sluice.replay.kept";

const replay: Plugin = (sluice, host) => {
  const sample = Number(host.option("replaySample"));
  const kinds = (host.option("replayInteresting") || "").split(/[\s,]+/).filter(Boolean);
  let isAllowed = false;
  let isDenied = false;
  let isWanted = false;
  let isOver = false;
  let keeps = !kinds.length;
  let recorder: Recorder | undefined;
  /** The last session that was looked at. */
  let session: string | undefined;
  let looking: ReturnType<typeof setTimeout>;
  /** Those too whose session has ended, and who may still have something to send. */
  const recorders: Recorder[] = [];

  /** Each session becomes interesting of its own. */
  const forgetInterest = () => {
    keeps = !kinds.length;
    session = undefined;
  };
  const begin = () => {
    clearTimeout(looking);
    if (!isAllowed || isOver || recorder || (!isWanted && !sample)) return;
    const identity = host.identity();
    if (!identity) return;
    const { visitorId, sessionId } = identity;
    // A visit begins with an event, and not with a recording of it.
    if (!sessionId) {
      if (session) forgetInterest();
      looking = setTimeout(host.guard(begin), CUT_MS);
      return;
    }
    if (session && session !== sessionId) forgetInterest();
    session = sessionId;
    if (!isWanted && !isSampled(sessionId, sample)) return;
    keeps = isKept(sessionId, keeps && !!kinds.length) || keeps;
    recorder = startRecorder(host, { visitorId, sessionId }, keeps, (goesOn) => {
      recorder = undefined;
      // The session has ended, and the next one may be in the sample; or there was a no, which may
      // become a yes again. All else ends it for this page.
      isOver ||= !goesOn && isAllowed && !!host.identity();
      if (goesOn) forgetInterest();
      host.whenIdle(begin);
    });
    recorders.push(recorder);
    // Whoever still has something to send keeps it for so long only.
    recorders.splice(0, recorders.length - MAX_RECORDERS).forEach((one) => one.stop());
  };
  const keep = () => {
    // What happens under a no is forgotten with it.
    if (isDenied) return;
    keeps = true;
    recorder?.keep();
  };
  const end = () => {
    isWanted = false;
    recorders.forEach((one) => one.stop());
  };

  host.whenGranted(() => {
    isAllowed = true;
    isDenied = false;
    // Never in the way of the page's own start.
    host.whenIdle(begin);
  }, true);
  host.whenDenied(() => {
    isAllowed = false;
    isDenied = true;
    forgetInterest();
    forgetKept();
    end();
  });
  // In a session that began on this page meanwhile.
  host.onView(() => host.whenIdle(begin));
  for (const type of BY_HAND) host.listen(window, type, ({ isTrusted }) => isTrusted && recorder?.stir());
  host.onHide(() => recorders.forEach((one) => one.hide()));
  watchInterest(host, kinds, keep);
  const look = (name: unknown) => void (kinds.includes(String(name)) && keep());
  const { track, reset } = sluice;
  sluice.reset = () => {
    // What comes after it is somebody else's.
    reset();
    recorder?.finish();
  };
  if (kinds.length) {
    sluice.track = (name, ...rest) => (look(name), track(name, ...rest));
    host.listen(window, "sluice:event", ({ detail }) => look(detail?.event?.eventType));
  }
  host.listen(window, "sluice:replay", ({ detail }) => {
    if (detail === "stop") {
      isOver = true;
      return end();
    }
    if (detail === "keep") keep();
    if (detail !== "start") return;
    isWanted = true;
    isOver = false;
    begin();
    keep();
  });
};

export default replay;

interface Recorder {
  keep(): void;
  hide(): void;
  /** Somebody is there. */
  stir(): void;
  /** Send what there is, and end. */
  finish(): void;
  stop(): void;
}

/** One recording: of one page, one session, under one id. */
function startRecorder(
  host: Host,
  { visitorId, sessionId }: { visitorId: string; sessionId: string },
  keeps: boolean,
  ended: (goesOn?: boolean) => void,
): Recorder {
  // Beside the session's id, which is random already; `randomUUID` is missing on plain-http pages.
  const recordingId = Date.now().toString(36) + Math.random().toString(36).slice(2);
  const masking = { textShown: host.option("replayText") === "shown", cleanUrl: (address: string) => host.cleanUrl(address) };
  let pending: { type: number }[] = [];
  let lines: string[] = [];
  let bytes = 0;
  let isDraining = false;
  let isStopped = false;
  let isStirred = false;
  let stirredAt = Date.now();
  let isWaking = false;
  let stopRrweb: (() => void) | undefined;
  let cancelCalm = () => {};

  const after = (ms: number, run: () => void) => {
    const timer = setTimeout(host.guard(run), ms);
    return () => clearTimeout(timer);
  };
  const uploader = createUploader(
    {
      endpoint: new URL(host.option("replayEndpoint") || PATH, new URL(host.endpoint, location.href)).href,
      envelope: () => ({
        siteId: host.siteId,
        visitorId,
        sessionId,
        recordingId,
        // It is recorded only where it may be (`whenGranted`).
        consent: "granted",
        url: host.cleanUrl(location.href),
      }),
      stopped: () => stop(),
      now: Date.now,
      after,
    },
    MAX_WAITING_BYTES,
  );
  const hold = createHold(MAX_HELD_BYTES, () => stopRrweb && record.takeFullSnapshot(true));

  const stop = (goesOn?: boolean) => {
    if (isStopped) return;
    isStopped = true;
    halt();
    cancelCalm();
    clearInterval(cutting);
    unwatch();
    pending = [];
    lines = [];
    hold.take();
    // What the session had until its end is still sent; what nobody may have any more is not.
    if (!goesOn) uploader.stop();
    ended(goesOn);
  };

  const halt = () => {
    stopRrweb?.();
    stopRrweb = undefined;
  };
  const cut = () => {
    if (lines.length) uploader.add(lines);
    lines = [];
    bytes = 0;
  };

  const put = (json: string) => {
    lines.push(json);
    bytes += json.length;
    if (bytes > CUT_BYTES) cut();
  };

  const take = (event: { type: number }) => {
    maskEvent(event, masking);
    const json = JSON.stringify(event);
    if (!keeps) {
      if (!hold.add({ json, begins: event.type === META })) stop();
      return;
    }
    put(json);
    // All that follows is nothing without it, and a page that is left may hand over little that is not packed.
    if (event.type === PICTURE) cut();
  };

  /** A few milliseconds at a time. */
  const drain = () => {
    isDraining = false;
    const until = performance.now() + SLICE_MS;
    while (pending.length && performance.now() < until) take(pending.shift()!);
    schedule();
  };
  const schedule = () => {
    if (isDraining || !pending.length || isStopped) return;
    isDraining = true;
    host.whenIdle(drain);
  };

  const isAlone = () => Date.now() - stirredAt > ALONE_MS;
  /** Whether the session is another by now, or nobody's any more: then the recording has ended. */
  const endsWithSession = () => {
    const identity = host.identity();
    if (identity?.sessionId === sessionId) return false;
    if (identity) finish();
    else uploader.stop();
    return true;
  };
  const finish = () => {
    if (isStopped) return;
    pending.splice(0).forEach(take);
    cut();
    stop(true);
  };

  const begin = () => {
    if (isStopped || stopRrweb) return;
    if (isTooLarge()) return stop();
    stopRrweb = record({
      emit: host.guard((event: { type: number }) => {
        if (isStopped || isAlone()) return;
        pending.push(event);
        if (pending.length > 20_000) stop();
        schedule();
      }),
      blockSelector: BLOCKED,
      maskAllInputs: true,
      maskInputFn: maskInput,
      maskTextSelector: masking.textShown ? TYPED : "*",
      maskTextFn: maskText,
      slimDOMOptions: "all",
      sampling: { input: "last" },
      // Nothing that it fails on reaches the page.
      errorHandler: () => true,
      ...(keeps ? {} : { checkoutEveryNms: PICTURE_MS }),
    });
  };

  const unwatch = watchFlood((nodes) => {
    if (isStopped) return;
    // With rrweb's observers gone, this batch is none of its business any more.
    halt();
    cancelCalm();
    cancelCalm = after(CALM_MS, () =>
      host.whenIdle(() => {
        begin();
        if (stopRrweb) record.addCustomEvent("sluice.paused", { nodes });
      }),
    );
  });

  const cutting = setInterval(
    host.guard(() => {
      // Asked only where somebody is: a page that ticks by itself asks nothing.
      if (isStirred) endsWithSession();
      isStirred = false;
      cut();
    }),
    CUT_MS,
  );

  // Once whoever called knows of the recording: it may end at once.
  host.whenIdle(begin);
  return {
    keep() {
      if (keeps) return;
      keeps = true;
      isKept(sessionId, true);
      hold.take().forEach(({ json }) => put(json));
      cut();
    },
    hide() {
      pending.splice(0).forEach(take);
      if (!keeps) return;
      cut();
      // Behind the events, which go in this same turn: they are worth more than we are.
      void Promise.resolve().then(host.guard(() => uploader.hide()));
    },
    stir() {
      if (!isAlone()) {
        isStirred = true;
        stirredAt = Date.now();
        return;
      }
      if (isWaking) return;
      isWaking = true;
      // Somebody came back: to a session of their own, or to what was missed meanwhile.
      if (endsWithSession()) return;
      host.whenIdle(() => {
        isWaking = false;
        stirredAt = Date.now();
        if (stopRrweb) record.takeFullSnapshot(true);
      });
    },
    finish,
    stop: uploader.stop,
  };
}

function forgetKept(): void {
  try {
    sessionStorage.removeItem(KEPT);
  } catch {
    // Nothing is stored then.
  }
}

/** Whether a session is kept, which holds on its next pages in this tab; `keeps` says that it is. */
function isKept(sessionId: string, keeps?: boolean): boolean {
  try {
    if (keeps) sessionStorage.setItem(KEPT, sessionId);
    return sessionStorage.getItem(KEPT) === sessionId;
  } catch {
    return false; // where nothing can be stored, each page decides anew
  }
}
