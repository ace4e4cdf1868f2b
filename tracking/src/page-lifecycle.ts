import { guard, listen } from "./guard";

/** Run when the page is really shown: a prerendered page may never be. */
export function whenActivated(run: () => void): void {
  // https://developer.mozilla.org/docs/Web/API/Document/prerendering
  if ((document as Document & { prerendering?: boolean }).prerendering) {
    document.addEventListener("prerenderingchange", guard(run));
  } else {
    run();
  }
}

/** Run each time the page may be about to end: hidden is the last moment a phone promises. */
export function whenHidden(run: () => void): void {
  // Not unload or beforeunload: they are skipped on phones and keep the page out of bfcache.
  // https://developer.chrome.com/docs/web-platform/deprecating-unload
  listen(document, "visibilitychange", () => document.hidden && run());
  listen(window, "pagehide", run);
}

/** Run when the page is seen again: another tab was in front, or it comes out of the bfcache. */
export function whenSeen(run: () => void): void {
  listen(document, "visibilitychange", () => document.hidden || run());
  whenRestored(run);
}

/** Run when the page comes back out of the back/forward cache. */
export function whenRestored(run: () => void): void {
  addEventListener("pageshow", guard((event: PageTransitionEvent) => event.persisted && run()), true);
}
