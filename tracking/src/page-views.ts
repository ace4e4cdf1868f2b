import { whenRestored } from "./page-lifecycle";
import { whenAddressChanges } from "./navigations";

/** Where a view came from; an empty string when nobody says. */
export type RecordView = (referrer: string) => void;

/** Record one view for the load, each new address and each return from the back/forward cache. */
export function watchPageViews(record: RecordView): void {
  let viewedUrl = location.href;
  record(document.referrer);
  whenAddressChanges(() => {
    const previousUrl = viewedUrl;
    viewedUrl = location.href;
    if (viewedUrl !== previousUrl) record(previousUrl);
  });
  whenRestored(() => record(document.referrer));
}
