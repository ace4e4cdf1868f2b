import type { Storage } from "./storage";

const OPT_OUT_KEY = "sluice_opt_out";

/** The visitor's own "no", remembered: the one thing kept of somebody who opted out. */
export interface OptOut {
  isOptedOut(): boolean;
  optOut(): void;
  optIn(): void;
}

export function createOptOut(storage: Storage): OptOut {
  return {
    isOptedOut: () => storage.read(OPT_OUT_KEY) !== null,
    optOut: () => storage.write(OPT_OUT_KEY, "1"),
    optIn: () => storage.remove(OPT_OUT_KEY),
  };
}
