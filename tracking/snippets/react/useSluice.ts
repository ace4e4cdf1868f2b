import { callSluice } from "./queue";
import type { SluiceCall } from "./sluice";

/**
 * `const sluice = useSluice(); sluice("track", "signup", { plan })`. The same function each time, so
 * it may stand in a list of dependencies. Call it in handlers and effects, not while rendering.
 */
export function useSluice(): SluiceCall {
  return callSluice;
}
