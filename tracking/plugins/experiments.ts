import type { Plugin } from "../src/plugin";
import { eventIn, readDataLayer } from "./page/data-layer";
import { createOnce } from "./page/once";

const MAX_CHARS = 200;
const MARKED = "data-experiment";
const EXPOSURE = /^(experiment[_ ]viewed|(experiment|experience)_impression|\$?exposure)$/i;

/** Which variant of which experiment a visitor was shown, each once in a browser session. */
const experiments: Plugin = (sluice, host) => {
  const isNew = createOnce(host);
  const asSoonAsPresent = host.option("experimentsWhen") === "present";

  function expose(experiment: unknown, variant: unknown, source: string): void {
    if (isNothing(experiment) || isNothing(variant)) return;
    const [name, shown] = [experiment, variant].map((said) => String(said).trim().slice(0, MAX_CHARS));
    if (isNew(`exposure_${name}:${shown}`)) sluice.track("exposure", { experiment: name, variant: shown, source });
  }

  function exposeElement(element: Element): void {
    // The variant follows the last colon: names are often paths of their own.
    const [, experiment, variant] = /^(.+):(.+)$/s.exec(element.getAttribute(MARKED) || "") || [];
    expose(experiment, variant, "attribute");
  }

  const sight = new IntersectionObserver(
    host.guard((entries: IntersectionObserverEntry[]) =>
      entries.forEach(({ isIntersecting, target }) => {
        if (isIntersecting) exposeElement(target);
      }),
    ),
  );
  const watched = new WeakMap<Element, string | null>();
  let isLooking = false;
  function look(): void {
    if (isLooking) return;
    isLooking = true;
    host.whenIdle(() => {
      isLooking = false;
      document.querySelectorAll(`[${MARKED}]`).forEach((element) => {
        const said = element.getAttribute(MARKED);
        if (host.isIgnored(element) || watched.get(element) === said) return;
        watched.set(element, said);
        if (asSoonAsPresent) return exposeElement(element);
        // Anew, when the variant changes in sight: the observer speaks of what it began to watch.
        sight.unobserve(element);
        sight.observe(element);
      });
      exposeOptimizely();
    });
  }

  // https://docs.developers.optimizely.com/web-experimentation/reference/state
  function exposeOptimizely(): void {
    const { optimizely } = window as any;
    const state = optimizely && optimizely.get && optimizely.get("state");
    if (!state) return;
    const variations = state.getVariationMap();
    for (const id of state.getActiveExperimentIds()) {
      const { name, id: variant } = variations[id] || ({} as any);
      expose(id, name || variant, "optimizely");
    }
  }

  readDataLayer(host, (entry) => {
    const event = eventIn(entry);
    if (!event || !EXPOSURE.test(event.name)) return;
    const { data } = event;
    // GA4's own form is "tool-experiment-variant".
    // https://developers.google.com/analytics/devguides/collection/ga4/integration
    const [, ofGa4, variantOfGa4] = /^[^-]*-(.+)-([^-]+)$/.exec(data.exp_variant_string) || [];
    expose(
      first(data, "experiment_id experimentId experiment_name experimentName experiment flag_key") ?? ofGa4,
      first(data, "variation_id variationId variation_name variationName variation variant_id variant") ?? variantOfGa4,
      "dataLayer",
    );
  });
  new MutationObserver(host.guard(look)).observe(document, {
    subtree: true,
    childList: true,
    attributeFilter: [MARKED],
  });
  host.onView(look);
  look();
};

export default experiments;

function first(from: any, names: string): unknown {
  return names
    .split(" ")
    .map((name) => from[name])
    .find((said) => !isNothing(said));
}

/** 0 is a variant, and usually the control. */
const isNothing = (said: unknown) => said === undefined || said === null || said === "" || typeof said === "object";
