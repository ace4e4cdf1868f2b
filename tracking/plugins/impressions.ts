import type { Plugin, Properties } from "../src/plugin";

const WIDGET = "data-widget-tracking";
const NAMED = "data-sluice-impression";
/** What a widget says of itself, in `data-mapping-id` and so on. */
const WIDGET_FACTS = ["mappingId", "postId", "widgetIndex", "deviceSlug", "rawModel"];
const SAY_WHAT_IT_IS = [
  WIDGET,
  NAMED,
  ...WIDGET_FACTS.map((name) => "data-" + name.replace(/[A-Z]/g, (capital) => "-" + capital.toLowerCase())),
];
const MAX_FACT_CHARS = 200;
const MAX_IMPRESSIONS = 200;

/** An element that may be seen. */
interface Watched {
  type: string;
  properties: Properties;
  /** What it says of itself: the same element, drawn anew, says the same. */
  key: string;
  viewportPercent: number;
  wasTold: boolean;
  /** When it came into view; 0 while it is out of it. */
  since: number;
  visibleMs: number;
  timer?: ReturnType<typeof setTimeout>;
}

/** Elements and widgets that were really seen, once a view; clicks in widgets. */
const plugin: Plugin = (sluice, host) => {
  const share = Number(host.option("impressionsShare")) || 0.5;
  const afterMs = Number(host.option("impressionsMs")) || 1_000;
  const more = host.option("impressionsSelector");
  const wanted = `[${WIDGET}],[${NAMED}]` + (more ? "," + more : "");

  const known = new Map<HTMLElement, Watched>();
  const inView = new Set<Watched>();
  let told: Watched[] = [];
  /** Seen in this view, and not on the page any more. */
  const gone = new Map<string, Watched>();
  let viewUrl = host.cleanUrl(location.href);

  const tell = (watched: Watched) => {
    if (told.length >= MAX_IMPRESSIONS) return;
    told.push(watched);
    watched.wasTold = true;
    sluice.track(watched.type, { ...watched.properties, viewportPercent: watched.viewportPercent });
  };
  const start = (watched: Watched) => {
    if (watched.since) return;
    watched.since = performance.now();
    if (!watched.wasTold) watched.timer = setTimeout(host.guard(() => tell(watched)), afterMs);
  };
  const stop = (watched: Watched) => {
    clearTimeout(watched.timer);
    if (watched.since) watched.visibleMs += performance.now() - watched.since;
    watched.since = 0;
  };

  const observer = new IntersectionObserver(
    host.guard((entries: IntersectionObserverEntry[]) => {
      for (const { target, intersectionRatio, intersectionRect, rootBounds } of entries) {
        const watched = known.get(target as HTMLElement);
        if (!watched) continue;
        watched.viewportPercent = Math.round(intersectionRatio * 100);
        // What is taller than the window is seen when it fills as much of the window.
        const fills = rootBounds ? intersectionRect.height / rootBounds.height : 0;
        const isSeen = intersectionRatio >= share || fills >= share;
        inView[isSeen ? "add" : "delete"](watched);
        if (!isSeen) stop(watched);
        else if (!document.hidden) start(watched);
      }
    }),
    { threshold: [...Array(21).keys()].map((step) => step / 20).concat(share) },
  );

  const describe = (element: HTMLElement): Pick<Watched, "type" | "properties"> => {
    if (element.hasAttribute(WIDGET)) return { type: "widget_impression", properties: factsOf(element) };
    const name = element.getAttribute(NAMED) || undefined;
    return { type: "impression", properties: { name, selector: host.selector(element) } };
  };

  let isQueued = false;
  /** What a framework has kept for something else. */
  const changed = new Set<Node>();
  const scan = () => {
    isQueued = false;
    known.forEach((watched, element) => {
      if (element.isConnected && !changed.has(element)) return;
      observer.unobserve(element);
      known.delete(element);
      inView.delete(watched);
      stop(watched);
      if (watched.wasTold) gone.set(watched.key, watched);
    });
    changed.clear();
    document.querySelectorAll<HTMLElement>(wanted).forEach((element) => {
      if (known.has(element) || host.isIgnored(element)) return;
      const described = describe(element);
      const key = JSON.stringify(described);
      // Drawn anew by a framework, it was seen already.
      const again = gone.get(key);
      gone.delete(key);
      known.set(element, again || { ...described, key, viewportPercent: 0, wasTold: false, since: 0, visibleMs: 0 });
      observer.observe(element);
    });
  };
  const queueScan = () => {
    if (!isQueued) host.whenIdle(scan);
    isQueued = true;
  };
  new MutationObserver((records) => {
    // Written anew as it was, it is the same.
    for (const { attributeName, target, oldValue } of records)
      if (attributeName && (target as Element).getAttribute(attributeName) !== oldValue) changed.add(target);
    queueScan();
  }).observe(document, {
    subtree: true,
    childList: true,
    attributeFilter: SAY_WHAT_IT_IS,
    attributeOldValue: true,
  });
  queueScan();

  const pause = () => {
    inView.forEach(stop);
    const items = told
      .filter((watched) => watched.visibleMs >= 1)
      .map((watched) => ({ ...watched.properties, visibleMs: Math.round(watched.visibleMs) }));
    if (items.length) sluice.track("impression_time", { viewUrl, items });
    told.forEach((watched) => (watched.visibleMs = 0));
  };
  const resume = () => inView.forEach(start);

  host.onHide(pause);
  host.listen(document, "visibilitychange", () => document.hidden || resume());
  host.onView(() => {
    pause();
    told = [];
    gone.clear();
    viewUrl = host.cleanUrl(location.href);
    known.forEach((watched) => {
      watched.wasTold = false;
      watched.visibleMs = 0;
    });
    resume();
  });

  const tellClick = (event: MouseEvent) => {
    // The wheel opens a link in a tab of its own; the other button opens a menu.
    if (event.button > 1) return;
    // Components are seen into. Pages have an `Element` of their own.
    const path = (event.composedPath() as HTMLElement[]).filter((node) => node.nodeType === 1);
    // Not a form's own method: a field called so would hide it.
    const nearest = (kind: string) => path.find((node) => HTMLElement.prototype.matches.call(node, kind));
    const widget = nearest(`[${WIDGET}]`);
    const control = nearest("a[href],button,[role=button],[data-click-target]");
    if (!widget || !control || host.isIgnored(path[0]!)) return;
    const link = nearest("a[href]") as HTMLAnchorElement | undefined;
    const named = nearest("[data-click-target]");
    // The field that a label presses tells of the press.
    const field = (nearest("label") as HTMLLabelElement | undefined)?.control;
    if (field && field !== path[0] && control.contains(field) && !field.matches(":disabled")) return;
    sluice.track("widget_click", {
      ...factsOf(widget),
      clickTarget: named && path.indexOf(named) <= path.indexOf(widget) ? named.dataset.clickTarget : undefined,
      destinationUrl: link ? host.cleanUrl(link.href) : undefined,
    });
  };
  host.listen(document, "click", tellClick);
  host.listen(document, "auxclick", tellClick);
};

/** Numbers as numbers; what the widget does not say is left out. */
function factsOf(widget: HTMLElement): Properties {
  const facts: Properties = {};
  for (const name of WIDGET_FACTS) {
    const text = widget.dataset[name];
    if (text) facts[name] = /^\d{1,15}$/.test(text) ? Number(text) : text.slice(0, MAX_FACT_CHARS);
  }
  return facts;
}

export default plugin;
