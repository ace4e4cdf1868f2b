/** Wrap an entry point so that nothing it does can throw into the host page. */
export function guard<Args extends unknown[], Result>(
  run: (...args: Args) => Result,
): (...args: Args) => Result | undefined {
  return (...args) => {
    try {
      return run(...args);
    } catch {
      // Losing one event is our problem; a broken checkout would be theirs.
      return undefined;
    }
  };
}
