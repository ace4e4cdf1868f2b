/** As its quick start says: a tracker, activity tracking, a page view. */
import { enableActivityTracking, newTracker, trackPageView, trackStructEvent } from "@snowplow/browser-tracker";

newTracker("sp", location.origin, { appId: "shop" });
enableActivityTracking({ minimumVisitLength: 30, heartbeatDelay: 10 });
trackPageView();
globalThis.record = (name, { mark, pad }) =>
  trackStructEvent({ category: "benchmark", action: name, label: mark, property: pad });
