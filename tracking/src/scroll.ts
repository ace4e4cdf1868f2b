import { guard, listen } from "./guard";

const STEP_PERCENT = 25;

/** Record how far down a view was seen, each quarter once; returns what begins the next view. */
export function watchScroll(record: (percent: number) => void): () => void {
  let told = 0;
  let isDue = false;

  function look(): void {
    isDue = false;
    const { scrollHeight } = document.documentElement;
    // A page that fits into the window is not scrolled, and nothing is told of it.
    if (scrollHeight <= innerHeight || !scrollY) return;
    const percent = ((scrollY + innerHeight + 1) / scrollHeight) * 100;
    while (told < 100 && told + STEP_PERCENT <= percent) record((told += STEP_PERCENT));
  }

  listen(document, "scroll", () => {
    // In the next frame, where the layout is known: asked at once, it would be computed for us.
    if (!isDue) requestAnimationFrame(guard(look));
    isDue = true;
  });
  return () => void (told = 0);
}
