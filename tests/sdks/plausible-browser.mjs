/** Plausible's tracker for a page that has no bundler of its own. */
import * as plausibleTracker from "@plausible-analytics/tracker";

globalThis.plausibleTracker = plausibleTracker;
