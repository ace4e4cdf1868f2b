/** The script `/js/views.js`: page views and nothing else, each sent as it happens. */
import { readConfig } from "./config";
import { consentNow } from "./consent";
import { readContext } from "./context";
import type { Event } from "./event";
import { guard } from "./guard";
import { uuidv7 } from "./ids";
import { whenActivated } from "./page-lifecycle";
import { watchPageViews } from "./page-views";
import { asksNotToBeTracked } from "./privacy-signals";
import { cleanUrl } from "./redact";
import { createTouch, isApart } from "./session";
import { browserStorage } from "./storage";
import { OPT_OUT, visitorIdOf } from "./visitor";

guard(() => {
  const { siteId, endpoint, data } = readConfig(document.currentScript as HTMLScriptElement, location);
  // As it is when the page begins: a signal that comes later is heard on the next.
  if (data.respectDnt !== "false" && asksNotToBeTracked()) return;
  const storage = browserStorage("sluice_", () => false);
  const touch = createTouch(
    storage,
    (_, lastAt, now) => isApart(now, lastAt, 30 * 60_000),
    (now) => ({ id: uuidv7(now) }),
  );

  function record(referrer: string): void {
    if (storage.read(OPT_OUT) || !/^[gu]/.test(consentNow(storage, data.consent))) return;
    const now = +new Date();
    const visitorId = visitorIdOf(storage);
    const session = touch(now);
    // As text, which needs no preflight; leaving does not cut it off.
    navigator.sendBeacon(
      endpoint,
      JSON.stringify({
        eventType: "page_view",
        occurredAt: now,
        sentAt: now,
        sessionIndex: session.index,
        url: cleanUrl(location.href),
        title: cleanUrl(document.title + "").slice(0, 1_000),
        eventId: uuidv7(now),
        siteId,
        visitorId,
        sessionId: session.id,
        ...readContext(),
        referrer: cleanUrl(referrer) || undefined,
      } satisfies Event),
    );
  }

  whenActivated(() => void watchPageViews(record));
})();
