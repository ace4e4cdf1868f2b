// A tracker that records what plugins tell it, and hands it over when the page is hidden, as ours does.
const parameters = new URLSearchParams(location.search);
window.tracked = [];
const waiting = [];
const hideHooks = [];
const viewHooks = [];

function track(name, properties) {
  const event = { name, properties: JSON.parse(JSON.stringify(properties)), atMs: performance.now() };
  tracked.push(event);
  waiting.push(event);
}

function hide() {
  hideHooks.forEach((run) => run());
  if (waiting.length) navigator.sendBeacon("/collected", JSON.stringify(waiting.splice(0)));
}
document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && hide(), true);
addEventListener("pagehide", hide, true);
window.showView = () => viewHooks.forEach((run) => run());

const guard = (run) => (...args) => {
  try {
    return run(...args);
  } catch (error) {
    (window.thrown = window.thrown || []).push(String(error.stack));
  }
};

const host = {
  option: (name) => parameters.get(name) ?? undefined,
  listen: (target, type, run) => target.addEventListener(type, guard(run), { capture: true, passive: true }),
  onHide: (run) => hideHooks.push(guard(run)),
  onView: (run) => viewHooks.push(guard(run)),
  whenIdle: (run) => requestIdleCallback(guard(run)),
  guard,
  selector: (element) => (element.id ? "#" + element.id : element.localName),
  label: (element) => element.textContent,
  redact: (text) => text.replace(/\S+@\w+\.\S+/g, "[email]"),
  cleanUrl: (address) => address.replace(/token=\w+/g, "token=[redacted]"),
  isIgnored: (element) => !!element.closest("[data-sluice-ignore]"),
};

window.readyMs = performance.now();
for (const chunk of parameters.getAll("chunk")) {
  const { default: plugin } = await import("/dist/" + chunk);
  guard(plugin)({ track }, host);
}
document.documentElement.dataset.ready = "";
