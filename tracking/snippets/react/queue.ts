import type { SluiceCall, SluiceQueue } from "./sluice";

/** Put the stub where the tracker has not come yet: what it is told waits, and is replayed. */
export function installQueue(): void {
  if (typeof window === "undefined" || window.sluice) return;
  const stub: SluiceQueue = (...command: unknown[]) => {
    (stub.q = stub.q || []).push(command);
  };
  window.sluice = stub;
}

/** A call that may be made at any time: before the tracker has come it waits, on a server it is nothing. */
export const callSluice: SluiceCall = (...command: unknown[]) => {
  if (typeof window === "undefined") return;
  installQueue();
  (window.sluice as (...command: unknown[]) => void)(...command);
};
