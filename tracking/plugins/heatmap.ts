import type { Plugin } from "../src/plugin";

const MAX_BANDS = 100;
/** Longer than this without a move or a scroll, nobody is known to look. */
const ATTENTION_MS = 30_000;

/** Where the pointer went, how far the page was scrolled, and how long each band of it was in view. */
const plugin: Plugin = (sluice, host) => {
  const option = (name: string, fallback: number) => Number(host.option("heatmap" + name)) || fallback;
  const moveMs = option("Ms", 100);
  const maxMoves = option("Moves", 200);
  const bandPx = option("Band", 200);

  let moves: [xPermille: number, yPx: number, atMs: number][] = [];
  let attention: number[] = [];
  let viewUrl = "";
  let begun = 0;
  let isQueued = false;
  let pointer: PointerEvent | undefined;
  let movedAt = 0;
  // As it was last measured; `since` when it was last accounted for, 0 while the page is hidden.
  let since = 0;
  let top = 0;
  let viewportWidth = 0;
  let viewportHeight = 0;
  let pageHeight = 0;
  let scrollMax = 0;

  const account = (now: number) => {
    const ms = since && Math.min(now - since, ATTENTION_MS);
    since = now;
    if (!ms || !viewportHeight) return;
    const last = Math.min((top + viewportHeight - 1) / bandPx, MAX_BANDS - 1);
    for (let band = Math.floor(top / bandPx); band <= last; band++) attention[band] = (attention[band] || 0) + ms;
  };

  // Only here is geometry read: before a frame, where the browser is about to need it anyway.
  const measure = host.guard((now: number) => {
    isQueued = false;
    account(now);
    const { scrollWidth, scrollHeight } = document.documentElement;
    top = Math.max(0, Math.round(scrollY));
    viewportWidth = innerWidth;
    viewportHeight = innerHeight;
    pageHeight = scrollHeight;
    scrollMax = Math.max(scrollMax, Math.min(top + viewportHeight, pageHeight));
    if (pointer && moves.length < maxMoves && !host.isIgnored(pointer.target as Element)) {
      moves.push([
        Math.round((pointer.pageX / scrollWidth) * 1_000),
        Math.round(pointer.pageY),
        Math.max(0, Math.round(now - begun)), // a frame's time is that of its start
      ]);
    }
    pointer = undefined;
  });
  const queue = () => {
    if (!isQueued) requestAnimationFrame(measure);
    isQueued = true;
  };

  const tell = () => {
    account(performance.now());
    if (moves.length || attention.length) {
      sluice.track("heatmap", {
        viewUrl,
        moves,
        bandPx,
        attention: Array.from(attention, (ms) => Math.round(ms || 0)),
        scrollMax,
        pageHeight,
        viewportWidth,
        viewportHeight,
      });
    }
    moves = [];
    attention = [];
    since = 0;
  };
  const begin = () => {
    viewUrl = host.cleanUrl(location.href);
    begun = performance.now();
    scrollMax = 0;
    queue();
  };

  host.listen(document, "pointermove", (event: PointerEvent) => {
    // A finger that moves scrolls.
    if (event.pointerType === "touch" || event.timeStamp - movedAt < moveMs) return;
    movedAt = event.timeStamp;
    pointer = event;
    queue();
  });
  for (const type of ["scroll", "resize", "visibilitychange"]) host.listen(window, type, queue);
  host.onHide(tell);
  host.onView(() => {
    tell();
    begin();
  });
  begin();
};

export default plugin;
