/** Tell of the first error that was kept from the page; the second would say no more. */
export let report = (_error: unknown): void => {};

export function onceOwnError(run: (error: unknown) => void): void {
  report = (error) => {
    report = () => {};
    run(error);
  };
}

/** Wrap an entry point so that nothing it does can throw into the host page. */
export function guard<Run extends (...args: any[]) => any>(run: Run): Run {
  return ((...args) => {
    try {
      return run(...args);
    } catch (error) {
      // Losing one event is our problem; a broken checkout would be theirs.
      report(error);
    }
  }) as Run;
}

/** What it returns; undefined where it throws, as browsers do that refuse to store. */
export function attempt<Result>(run: () => Result): Result | undefined {
  try {
    return run();
  } catch {}
  return undefined;
}

/** Listen, capturing and passive: a page that stops propagation still had the event. */
export function listen(target: EventTarget, type: string, run: (event: any) => void): void {
  target.addEventListener(type, guard(run), { capture: true, passive: true });
}

// After a click on a page where nothing moves Chromium may find no idle moment for minutes.
const LONGEST = { timeout: 2_000 };

/** Run when the page has nothing better to do, or has had something for two seconds. */
export function whenIdle(run: () => void): void {
  // https://developer.mozilla.org/docs/Web/API/Window/requestIdleCallback : not in every Safari.
  (window.requestIdleCallback || setTimeout)(guard(run), LONGEST as number & IdleRequestOptions);
}
