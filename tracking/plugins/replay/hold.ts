/** Holds events while their session may still become interesting, within a bound. */

export interface Line {
  json: string;
  /** Begins a full picture of the page, from which a player can start. */
  begins: boolean;
}

export interface Hold {
  /** Hold one more; false when a picture alone is too large. */
  add(line: Line): boolean;
  take(): Line[];
}

/**
 * From the last picture but one on, as long as that fits, else from the last one on; where even that
 * does not, `begin` is asked for a new one.
 */
export function createHold(maxBytes: number, begin: () => void): Hold {
  let lines: Line[] = [];
  let bytes = 0;
  const drop = (count: number) => lines.splice(0, count).forEach(({ json }) => (bytes -= json.length));
  const last = (before = lines.length) => {
    while (before-- > 0 && !lines[before]!.begins);
    return before;
  };
  return {
    add(line) {
      lines.push(line);
      bytes += line.json.length;
      if (line.begins) drop(Math.max(0, last(last())));
      if (bytes > maxBytes) drop(Math.max(0, last()));
      if (bytes <= maxBytes) return true;
      if (lines.length < 3) return false;
      drop(lines.length);
      begin();
      return true;
    },
    take() {
      const taken = lines;
      lines = [];
      bytes = 0;
      return taken;
    },
  };
}
