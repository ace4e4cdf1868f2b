/** The script `/js/views.js`: page views and nothing else, each sent as it happens. */
import { currentTitle } from "./capture";
import { readConfig } from "./config";
import { readContext } from "./context";
import type { Event } from "./event";
import { guard } from "./guard";
import { uuidv7 } from "./ids";
import { whenActivated } from "./page-lifecycle";
import { watchPageViews } from "./page-views";
import { asksNotToBeTracked } from "./privacy-signals";
import { cleanUrl } from "./redact";
import { createTouch } from "./session";
import { browserStorage } from "./storage";
import { OPT_OUT, visitorIdOf } from "./visitor";

guard(() => {
  const { name, siteId, endpoint, data } = readConfig(document.currentScript as HTMLScriptElement | null, location);
  const isSignalled = () => data.respectDnt !== "false" && asksNotToBeTracked(navigator);
  const storage = browserStorage(name + "_", isSignalled);
  const touch = createTouch(storage, { idleMs: 30 * 60_000 }, uuidv7);

  function record(referrer: string): void {
    if (isSignalled() || storage.read(OPT_OUT)) return;
    const now = Date.now();
    const session = touch(now);
    const event: Event = {
      eventId: uuidv7(now),
      eventType: "page_view",
      occurredAt: now,
      sentAt: now,
      url: cleanUrl(location.href),
      title: currentTitle(),
      referrer: cleanUrl(referrer) || undefined,
      siteId,
      visitorId: visitorIdOf(storage),
      sessionId: session.id,
      sessionIndex: session.index,
      ...readContext(),
    };
    // Text, which needs no preflight; keepalive, so that leaving does not cut it off.
    fetch(endpoint, { method: "POST", body: JSON.stringify(event), keepalive: true, credentials: "omit" }).catch(() => {});
  }

  whenActivated(() => watchPageViews(guard(record)));
})();
