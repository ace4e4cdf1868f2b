/** The consent station: asks, passes the answer on, and says what that means. */
import { command } from "./track.js";

const POLICY = "demo-2026";
const MEANINGS = {
  unknown: "Nobody has been asked here, and this site captures until somebody says no.",
  pending: "Pending: what you do waits in this page, 100 events at most. Nothing is kept in the browser, nothing is sent.",
  granted: `Granted, of policy “${POLICY}”: each event carries it.`,
  denied: "Denied: what waited is gone, and so are the ids. The answer itself is remembered; nothing else is.",
  optedOut: "Opted out: nothing is captured on any page, whatever is answered above, until you opt in again.",
};

export function showConsent() {
  const station = document.querySelector("#consent");
  // Somebody who is being asked is remembered nowhere: a page knows it only of itself.
  let isPending = false;

  const show = () => {
    station.querySelector("#consent-state").textContent = MEANINGS[stateOf(isPending)];
  };
  const whenPressed = (selector, run) =>
    station.querySelectorAll(selector).forEach((control) =>
      control.addEventListener("click", (event) => {
        event.preventDefault();
        run(control);
        show();
      }),
    );

  whenPressed("button", ({ value }) => {
    isPending = value === "pending";
    command("consent", value, { policy: POLICY });
  });
  whenPressed("#opt-out", () => command("optOut"));
  whenPressed("#opt-in", () => command("optIn"));
  show();
}

/** As the tracker keeps it. */
function stateOf(isPending) {
  if (localStorage.getItem("sluice_opt_out")) return "optedOut";
  if (isPending) return "pending";
  return localStorage.getItem("sluice_consent")?.split(" ")[0] || "unknown";
}
