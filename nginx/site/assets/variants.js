const VARIANTS_KEY = "larch_variants";

/** Which variant of an experiment this browser sees: drawn once, then kept. */
export function variantOf(experiment, variants) {
  const drawn = read();
  if (!variants.includes(drawn[experiment])) keep(experiment, variants[Math.floor(Math.random() * variants.length)]);
  return read()[experiment] ?? variants[0];
}

/** See another one from now on. */
export function keep(experiment, variant) {
  localStorage.setItem(VARIANTS_KEY, JSON.stringify({ ...read(), [experiment]: variant }));
}

/** Show it, and say so: the tracker tells it when the element comes into sight. */
export function mark(element, experiment, variant) {
  element.setAttribute("data-experiment", `${experiment}:${variant}`);
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(VARIANTS_KEY) || "{}");
  } catch {
    return {};
  }
}
