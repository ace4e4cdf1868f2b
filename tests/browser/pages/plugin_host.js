/**
 * Runs one built plugin as the tracker would, and keeps what it tells in localStorage: a write there
 * is synchronous and outlives the page, so what is told while leaving is seen as well.
 */
(() => {
  const { chunk, ...options } = document.currentScript.dataset;

  const keep = (key) => (...said) => {
    const told = JSON.parse(localStorage.getItem(key) || "[]");
    localStorage.setItem(key, JSON.stringify([...told, said]));
  };
  const guard = (run) => (...args) => {
    try {
      return run(...args);
    } catch (error) {
      keep("errors")(String(error));
    }
  };
  const listen = (target, type, run) =>
    target.addEventListener(type, guard(run), { capture: true, passive: true });
  const withoutEmails = (text) => text.replace(/\S+@\S+/g, "[redacted:email]");

  const host = {
    siteId: "shop.example",
    endpoint: "/collect",
    option: (name) => options[name],
    guard,
    listen,
    onHide(run) {
      listen(document, "visibilitychange", () => document.hidden && run());
      listen(window, "pagehide", run);
    },
    onView(run) {
      const push = history.pushState;
      history.pushState = function (...args) {
        push.apply(this, args);
        guard(run)();
      };
      listen(window, "popstate", run);
      listen(window, "pageshow", (event) => event.persisted && run());
    },
    whenIdle: (run) => requestIdleCallback(guard(run), { timeout: 2_000 }),
    selector: (element) => element.localName,
    label: () => "",
    redact: withoutEmails,
    cleanUrl: (address) => withoutEmails(address.split("?")[0]),
    isIgnored: (element) => !!element.closest("[data-sluice-ignore]"),
    consent: () => "granted",
    identity: () => ({ visitorId: "v_1", sessionId: "s_1" }),
    whenGranted: (run) => run(),
    whenDenied: () => {},
  };
  import(chunk).then(({ default: plugin }) => {
    plugin({ track: keep("told"), consent: keep("consents") }, host);
    document.documentElement.dataset.ready = "";
  });
})();
