import { whenRestored } from "./page-lifecycle";
import { whenAddressChanges } from "./navigations";

/** Where a view came from; an empty string when nobody says. */
export type RecordView = (referrer: string) => void;

/**
 * Record one view for the load, each new address and each return from the back/forward cache; tells
 * whether the last is what is shown, its address perhaps tidied up since.
 */
export function watchPageViews(record: RecordView): () => boolean {
  let viewedUrl = location.href;
  record(document.referrer);
  whenAddressChanges((replaced) => {
    // Pages tidy up an address, or put each keystroke into it: with the same path it is the same
    // view. The path of a hash router stands in the hash. An address that was not told of yet is
    // not tidied up: somebody went back, and the page heard of it first (Next.js).
    const viewOf = (address: string) =>
      replaced === viewedUrl ? address.replace(/\?[^#]*|#(?!!?\/[^?]).*/g, "") : address;
    if (viewOf(location.href) !== viewOf(viewedUrl)) record(viewedUrl);
    viewedUrl = location.href;
  });
  whenRestored(() => record(document.referrer));
  return () => viewedUrl === location.href;
}
