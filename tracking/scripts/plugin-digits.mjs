/** The digits that `import()` can ask for: one character of a chunk's name. */
const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz";

/**
 * The plugins by digit: `["errors", "", "vitals"]` for errors 0 and vitals 2. A digit once given
 * stays, and one of a plugin that is gone is never given again (`earlier` has its name, this list
 * nothing): a page that holds an older tracker is answered by the digit alone.
 */
export function assignDigits(names, earlier) {
  const places = [...earlier, ...names.filter((name) => !earlier.includes(name)).sort()];
  if (places.length > DIGITS.length) throw new Error(`More than ${DIGITS.length} plugins: a chunk's name has one digit.`);
  return { places, present: places.map((name) => (names.includes(name) ? name : "")) };
}

/** The name of a plugin's chunk in this build. */
export function chunkName(build, place) {
  return build + DIGITS[place] + ".js";
}

/** The name of the same chunk for those who ask for a build that is gone. */
export function standIn(place) {
  return DIGITS[place] + ".js";
}
