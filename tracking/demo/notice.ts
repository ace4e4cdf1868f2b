import { asksNotToBeTracked } from "../src/privacy-signals";
import { el } from "./dom";

/** Why nothing comes, where nothing does; hidden otherwise. `update` looks again, and says whether it is so. */
export function makeNotice(): { element: HTMLElement; update(): boolean } {
  const element = el("p", { class: "sl-notice", role: "status" });
  function update(): boolean {
    const why = reasonForSilence();
    element.hidden = !why;
    if (element.textContent !== why) element.textContent = why;
    return !!why;
  }
  update();
  return { element, update };
}

function reasonForSilence(): string {
  if (asksNotToBeTracked()) {
    return "Your browser asks not to be tracked (Do Not Track or Global Privacy Control). The tracker obeys: nothing is captured, stored or sent.";
  }
  // As the tracker keeps them: only for somebody who said no.
  if (kept("sluice_opt_out")) return "You opted out: nothing is captured any more. “Every capture” has the way back in.";
  if (kept("sluice_consent")?.startsWith("denied")) {
    return "You said no to being measured: nothing is captured. “Every capture” asks again.";
  }
  return "";
}

function kept(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
