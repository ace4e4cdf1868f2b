import { whenRestored } from "./page-lifecycle";
import { whenAddressChanges } from "./navigations";

/** Where a view came from; an empty string when nobody says. */
export type RecordView = (referrer: string) => void;

/** Record one view for the load, each new address and each return from the back/forward cache. */
export function watchPageViews(record: RecordView): void {
  let viewedUrl = location.href;
  record(document.referrer);
  whenAddressChanges((isReplaced) => {
    const previousUrl = viewedUrl;
    viewedUrl = location.href;
    // Pages tidy up an address, or put each keystroke into it: with the same path it is the same view.
    const viewOf = (address: string) => (isReplaced ? address.split(/[?#]/)[0] : address);
    if (viewOf(viewedUrl) !== viewOf(previousUrl)) record(previousUrl);
  });
  whenRestored(() => record(document.referrer));
}
