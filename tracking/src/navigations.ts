import { guard } from "./guard";

/**
 * Run after each change of the address that does not load a document; `isReplaced` where the page
 * put it in the place of the one before.
 */
export function whenAddressChanges(run: (isReplaced?: boolean) => void): void {
  const changed = guard(run);
  const wrap = (method: "pushState" | "replaceState", isReplaced?: boolean) => {
    const original = history[method];
    history[method] = function (this: History, ...args: Parameters<History["pushState"]>) {
      // A page that went back may have heard of it before us, and replace the address by itself: Next.js does.
      changed();
      // The page's own call comes unguarded: what it throws is the page's to see.
      const result = original.apply(this, args);
      changed(isReplaced);
      return result;
    };
  };
  wrap("pushState");
  wrap("replaceState", true);
  // A router on the Navigation API calls neither, and what it pushes or replaces is no "popstate".
  // https://developer.mozilla.org/docs/Web/API/Navigation/currententrychange_event
  window.navigation?.addEventListener("currententrychange", (event) => changed(event.navigationType === "replace"));
  // The hash's changes, too.
  addEventListener("popstate", () => changed());
}
