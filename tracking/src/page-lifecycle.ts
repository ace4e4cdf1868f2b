import { guard } from "./guard";

/** Run when the page is really shown: a prerendered page may never be. */
export function whenActivated(run: () => void): void {
  // https://developer.mozilla.org/docs/Web/API/Document/prerendering
  if ((document as Document & { prerendering?: boolean }).prerendering) {
    document.addEventListener("prerenderingchange", guard(run), { once: true });
  } else {
    run();
  }
}

/** Run each time the page may be about to end: hidden is the last moment a phone promises. */
export function whenHidden(run: () => void): void {
  // Not unload or beforeunload: they are skipped on phones and keep the page out of bfcache.
  // https://developer.chrome.com/docs/web-platform/deprecating-unload
  document.addEventListener(
    "visibilitychange",
    guard(() => {
      if (document.visibilityState === "hidden") run();
    }),
    true,
  );
  addEventListener("pagehide", guard(run), true);
}

/** Run when the page comes back out of the back/forward cache. */
export function whenRestored(run: () => void): void {
  addEventListener(
    "pageshow",
    guard((event: PageTransitionEvent) => {
      if (event.persisted) run();
    }),
    true,
  );
}
