import { guard } from "./guard";

/**
 * Run after each change of the address that does not load a document; `isReplaced` where the page
 * put it in the place of the one before.
 */
export function whenAddressChanges(run: (isReplaced?: boolean) => void): void {
  const changed = guard(run);
  wrap("pushState", () => changed());
  wrap("replaceState", () => changed(true));
  addEventListener("popstate", () => changed());
  addEventListener("hashchange", () => changed());
}

function wrap(method: "pushState" | "replaceState", changed: () => void): void {
  const original = history[method];
  history[method] = function (this: History, ...args: Parameters<History["pushState"]>) {
    // The page's own call comes first and unguarded: what it throws is the page's to see.
    const result = original.apply(this, args);
    changed();
    return result;
  };
}
