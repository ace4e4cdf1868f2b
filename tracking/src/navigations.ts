import { guard } from "./guard";

/**
 * Run after each change of the address that does not load a document, with the address in whose
 * place the page has put it, if so.
 */
export function whenAddressChanges(run: (replaced?: string | false | null) => void): void {
  const changed = guard(run);
  const wrap = (method: "pushState" | "replaceState") => {
    const original = history[method];
    history[method] = function (this: History, ...args: Parameters<History["pushState"]>) {
      const replaced = method > "q" && location.href;
      // The page's own call comes unguarded: what it throws is the page's to see.
      const result = original.apply(this, args);
      changed(replaced);
      return result;
    };
  };
  wrap("pushState");
  wrap("replaceState");
  // A router on the Navigation API calls neither, and what it pushes or replaces is no "popstate".
  // After who does call them, who know better; what goes back waits for the page's own word.
  // https://developer.mozilla.org/docs/Web/API/Navigation/currententrychange_event
  // Pages may have a `navigation` of their own.
  self.navigation?.addEventListener?.("currententrychange", async ({ navigationType, from }) => {
    await 0;
    // "push", "replace", or "traverse".
    if (navigationType! < "t") changed(navigationType! > "r" && from.url);
  });
  // The hash's changes, too.
  addEventListener("popstate", () => changed());
}
