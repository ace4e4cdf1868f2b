import type { Host } from "../../src/plugin";

const RAGE_CLICKS = 3;
const RAGE_MS = 1_000;
const RAGE_PX = 30;

/** Tells when a session has become interesting: `error`, `rage`, or an event of a listed type. */
export function watchInterest(host: Host, kinds: string[], found: () => void): void {
  if (kinds.includes("error")) for (const type of ["error", "unhandledrejection"]) host.listen(window, type, found);
  if (kinds.includes("rage")) {
    const isRage = rageDetector();
    host.listen(document, "click", (click: MouseEvent) => isRage(click) && found());
  }
}

type Click = Pick<MouseEvent, "timeStamp" | "clientX" | "clientY">;

/** Several clicks in one place within a second. */
export function rageDetector(): (click: Click) => boolean {
  let clicks: Click[] = [];
  return (click) => {
    clicks = clicks.filter(
      (one) =>
        click.timeStamp - one.timeStamp < RAGE_MS &&
        Math.abs(click.clientX - one.clientX) < RAGE_PX &&
        Math.abs(click.clientY - one.clientY) < RAGE_PX,
    );
    clicks.push(click);
    return clicks.length >= RAGE_CLICKS;
  };
}

/** Whether a session is in the sample: the same answer in each of its tabs and pages, with nothing stored. */
export function isSampled(sessionId: string, sample: number): boolean {
  let hash = 0;
  for (let i = 0; i < sessionId.length; i++) hash = Math.imul(hash, 31) + sessionId.charCodeAt(i);
  // By the golden ratio: the high bits move with the last letters, too.
  return (Math.imul(hash, 0x9e3779b1) >>> 0) / 2 ** 32 < sample;
}
