import type { Plugin } from "../src/plugin";

const MAX_QUERY_CHARS = 100;
const MAX_READ_CHARS = 1_000;
const LOOK_MS = 250;
const MAX_LOOKS = 8;

/** Searches within the site, read from the address of the page of results; never from what is being typed. */
const search: Plugin = (sluice, host) => {
  const names = (option: string, otherwise: string) => (host.option(option) || otherwise).match(/[^\s,]+/g) || [];
  const queryNames = names("searchParams", "q,s,query,search,keyword");
  const filterNames = names("searchFilters", "");
  let finish: (() => void) | undefined;
  // The next page of the same results, or the same again, is no second search.
  let lastAsked = document.referrer.startsWith(location.origin + "/") ? JSON.stringify(askedIn(document.referrer)) : "";

  function askedIn(address: string): { query?: string; filters?: { [name: string]: string } } {
    const { search, hash } = new URL(address);
    // Routers that live in the hash have their parameters there.
    const parameters = new URLSearchParams(search + "&" + (hash.split("?")[1] || ""));
    const valueOf = (name: string) =>
      host
        .redact(parameters.getAll(name).join(",").slice(0, MAX_READ_CHARS).replace(/\s+/g, " ").trim())
        .slice(0, MAX_QUERY_CHARS);
    const filters = filterNames.map((name) => [name, valueOf(name)]).filter(([, value]) => value);
    return {
      query: queryNames.map(valueOf).find(Boolean),
      filters: filters[0] && Object.fromEntries(filters),
    };
  }

  function viewed(isFirst?: boolean): void {
    // Told with what is known: what the page shows from here on is the next view's.
    if (finish) finish();
    const asked = askedIn(location.href);
    const key = JSON.stringify(asked);
    if (!asked.query || key === lastAsked) return;
    lastAsked = key;

    // A single-page application still shows the count of the search before: wait until it changes,
    // or long enough to believe that it is the same again.
    const before = isFirst ? undefined : resultCount();
    let results: number | undefined;
    let looks = 0;
    let timer: ReturnType<typeof setTimeout>;
    finish = () => {
      finish = undefined;
      clearTimeout(timer);
      sluice.track("search", { ...asked, results });
      if (results === 0) sluice.track("search_failed", asked);
    };
    const look = host.guard(() => {
      const count = resultCount();
      const isLast = looks++ >= MAX_LOOKS;
      if (isLast || count !== before) results = count;
      if (isLast || results !== undefined) finish!();
      else timer = setTimeout(look, LOOK_MS);
    });
    look();
  }

  host.onHide(() => finish && finish());
  host.onView(() => viewed());
  viewed(true);
};

export default search;

/** How many results the page says that it has; undefined where it does not say. */
function resultCount(): number | undefined {
  if (document.querySelector("[data-sluice-no-results]:not([data-sluice-no-results=false])")) return 0;
  const element = document.querySelector("[data-sluice-results]");
  const said = element ? element.getAttribute("data-sluice-results") || element.textContent! : "";
  // 1,234 and 1.234 and 1 234 and 1'234 are one number.
  const digits = said.replace(/(\d)[.,'’\s](?=\d{3}(?!\d))/g, "$1").match(/\d+/);
  return digits ? +digits[0] : undefined;
}
