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
      // The page's own call comes unguarded: what it throws is the page's to see.
      const result = original.apply(this, args);
      // Who goes back, and whose page hears of it before us and replaces the address by itself
      // (Next.js), tidies nothing up.
      changed(isReplaced && self.event?.type !== "popstate");
      return result;
    };
  };
  wrap("pushState");
  wrap("replaceState", true);
  // A router on the Navigation API calls neither, and what it pushes or replaces is no "popstate".
  // After who does call them, who know better; what goes back waits for the page's own word.
  // https://developer.mozilla.org/docs/Web/API/Navigation/currententrychange_event
  self.navigation?.addEventListener("currententrychange", async ({ navigationType }) => {
    await 0;
    // "push", "replace", or "traverse".
    if (navigationType! < "t") changed(navigationType! > "r");
  });
  // The hash's changes, too.
  addEventListener("popstate", () => changed());
}
