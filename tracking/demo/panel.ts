/** The demo's drawer: what the tracker captured on this tab, and what of it is in the bucket. */
import { openBucket, type Bucket } from "./bucket";
import { showBucket } from "./bucket-list";
import { el } from "./dom";
import { showLive } from "./live-list";
import { keepOpen, wasOpen } from "./open";
import { makeNotice } from "./notice";
import type { Trail } from "./trail";

const POLL_MS = 5_000;
const STYLES = new URL("panel.css", (document.currentScript as HTMLScriptElement).src).href;

function mountPanel(trail: Trail): void {
  const live = el("ol", { class: "sl-list", id: "sl-live" });
  const places = {
    status: el("p", { class: "sl-status", id: "sl-bucket-status" }),
    files: el("ul", { class: "sl-files" }),
    rows: el("ol", { class: "sl-list", id: "sl-bucket-rows" }),
  };
  const counters = { captured: counter("captured"), accepted: counter("accepted"), delivered: counter("in your bucket") };
  const sendNow = el("button", { type: "button", class: "sl-send" }, "Send now");
  const close = el("button", { type: "button", class: "sl-close", "aria-label": "Close the event panel" }, "×");
  const tabs = { live: tab("live", "Live"), bucket: tab("bucket", "In your bucket") };
  const notice = makeNotice();
  const panes = {
    live: pane("live", notice.element, el("p", { class: "sl-hint" }, "What you do on this site, as it happens. Unfold an event to see what is sent."), live),
    bucket: pane("bucket", places.status, places.files, places.rows),
  };
  const launcher = el("button", { type: "button", class: "sl-launcher", "aria-expanded": "false" }, el("i"), el("span"));
  const drawer = el(
    "aside",
    { class: "sl-drawer", "aria-label": "Sluice events" },
    el("header", {}, el("h2", {}, "Sluice"), el("p", {}, "from this tab to your bucket"), sendNow, close),
    el("div", { class: "sl-counters" }, counters.captured.box, counters.accepted.box, counters.delivered.box),
    el("div", { class: "sl-tabs", role: "tablist" }, tabs.live, tabs.bucket),
    panes.live,
    panes.bucket,
  );
  const root = el("div", { class: "sl-root", "data-sluice-ignore": "" }, launcher, drawer);
  document.body.append(besideThePage(root));

  const reader = openBucket();
  let bucket: Bucket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function show(): void {
    const steps = trail.steps();
    const delivered = steps.filter(({ state }) => state === "delivered").length;
    const accepted = delivered + steps.filter(({ state }) => state === "accepted").length;
    counters.captured.number.textContent = String(steps.length);
    counters.accepted.number.textContent = String(accepted);
    counters.delivered.number.textContent = String(delivered);
    launcher.querySelector("span")!.textContent = `${steps.length} ${steps.length === 1 ? "event" : "events"}`;
    showLive(live, steps);
    if (bucket) showBucket(places, bucket, new Set(steps.map(({ event }) => event.eventId ?? "")));
  }

  async function poll(): Promise<void> {
    clearTimeout(timer);
    if (!isOpen()) return;
    if (!document.hidden) {
      bucket = await reader.poll();
      trail.markDelivered(new Set(bucket.rows.map((row) => String(row.event_id))));
      show();
    }
    clearTimeout(timer);
    timer = setTimeout(() => void poll(), POLL_MS);
  }

  function setOpen(open: boolean): void {
    // The page makes room; the panel comes.
    document.documentElement.classList.toggle("sl-open", open);
    root.classList.toggle("sl-open", open);
    launcher.setAttribute("aria-expanded", String(open));
    drawer.inert = !open;
    void poll();
  }

  function choose(name: "live" | "bucket"): void {
    for (const each of ["live", "bucket"] as const) {
      tabs[each].setAttribute("aria-selected", String(each === name));
      panes[each].hidden = each !== name;
    }
  }

  const openOrClose = (open: boolean) => {
    keepOpen(open);
    setOpen(open);
  };
  launcher.addEventListener("click", () => openOrClose(true));
  close.addEventListener("click", () => openOrClose(false));
  sendNow.addEventListener("click", () => (window as { sluice?: { flush?(): void } }).sluice?.flush?.());
  tabs.live.addEventListener("click", () => choose("live"));
  tabs.bucket.addEventListener("click", () => choose("bucket"));
  document.addEventListener("visibilitychange", () => void poll());
  // Consent and opting out announce nothing; they are a press away.
  document.addEventListener("click", () => setTimeout(() => notice.update() && trail.forgetWaiting()));

  let isShowDue = false;
  trail.onChange(() => {
    if (isShowDue) return;
    isShowDue = true;
    // Once a task, however many events came in it.
    setTimeout(() => {
      isShowDue = false;
      show();
    });
  });
  choose("live");
  show();
  setOpen(wasOpen());
}

function isOpen(): boolean {
  return document.documentElement.classList.contains("sl-open");
}

function counter(label: string): { box: HTMLElement; number: HTMLElement } {
  const number = el("b", {}, "0");
  return { box: el("div", {}, number, el("span", {}, label)), number };
}

function tab(name: string, label: string): HTMLElement {
  return el("button", { type: "button", role: "tab", id: `sl-tab-${name}`, "aria-controls": `sl-pane-${name}` }, label);
}

function pane(name: string, ...children: HTMLElement[]): HTMLElement {
  return el("section", { class: "sl-pane", role: "tabpanel", id: `sl-pane-${name}`, "aria-labelledby": `sl-tab-${name}` }, ...children);
}

/**
 * In a shadow root of its own, and marked: looking at the panel is no event of the shop, and that the
 * panel tells of a click is not the page's answer to it, without which there would be no dead clicks.
 */
function besideThePage(root: HTMLElement): HTMLElement {
  const host = el("div", { "data-sluice-ignore": "", hidden: "" });
  const styles = el("link", { rel: "stylesheet", href: STYLES });
  styles.addEventListener("load", () => (host.hidden = false));
  host.attachShadow({ mode: "open" }).append(styles, root);
  return host;
}

if (window.sluiceTrail) mountPanel(window.sluiceTrail);
