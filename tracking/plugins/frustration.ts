import type { Plugin } from "../src/plugin";

const INTERACTIVE = "a,button,input,summary,[role=button],[role=link],[role=tab],[role=menuitem],[onclick]";
/** What answers in ways that no script sees: a caret, an opened list, a picture drawn. */
const ANSWERS_UNSEEN =
  "input:not([type=button],[type=submit],[type=reset],[type=image]),textarea,select,option,label," +
  "[contenteditable],canvas,video,audio,iframe,object,embed";
/** What else than a change of the document shows that a click did something. */
const ANSWERS = [
  "scroll", "focusin", "input", "change", "submit", "invalid", "toggle", "play", "pause",
  "blur", "pagehide", "visibilitychange",
]; // prettier-ignore

interface Burst {
  element: Element;
  label: HTMLLabelElement | undefined;
  x: number;
  y: number;
  times: number[];
  isRage: boolean;
}

interface Unanswered {
  element: Element;
  x: number;
  y: number;
}

/** Clicks again and again on one spot, and clicks that nothing answers. */
const plugin: Plugin = (sluice, host) => {
  const option = (name: string, fallback: number) => Number(host.option("frustration" + name)) || fallback;
  const rageClicks = option("Clicks", 3);
  const rageMs = option("Ms", 1_000);
  const rageRadiusPx = option("Radius", 30);
  const deadMs = option("DeadMs", 1_000);

  const about = (element: Element, x: number, y: number, label?: Element) => ({
    selector: host.selector(element),
    // Only controls have text worth telling, and what a label lets one choose is none.
    label: label || !looksInteractive(element) ? undefined : host.label(element),
    x: Math.round(x),
    y: Math.round(y),
  });

  // Rage: a burst is told when it is over, with all its clicks.
  let passedTo: Element | null | undefined;
  let burst: Burst | undefined;
  let burstTimer: ReturnType<typeof setTimeout>;

  const endBurst = host.guard(() => {
    clearTimeout(burstTimer);
    const ended = burst;
    burst = undefined;
    if (!ended || !ended.isRage) return;
    const { element, label, x, y, times } = ended;
    // Three clicks on a text select its paragraph, or all that is in a field.
    const selects = element.closest(ANSWERS_UNSEEN) || (!looksInteractive(element) && !getSelection()?.isCollapsed);
    if (selects && times.length < 4) return;
    const durationMs = Math.round(times[times.length - 1]! - times[0]!);
    sluice.track("rage_click", { ...about(element, x, y, label), clicks: times.length, durationMs });
  });

  const joinBurst = (element: Element, label: HTMLLabelElement | undefined, event: MouseEvent) => {
    // A label's click is passed on to its field, which nobody pressed.
    const isPassedOn = element === passedTo;
    const field = label?.control;
    passedTo = field === element ? undefined : field;
    if (isPassedOn) return;
    const { pageX: x, pageY: y, timeStamp } = event;
    if (burst && Math.hypot(x - burst.x, y - burst.y) > rageRadiusPx) endBurst();
    burst = burst || { element, label, x, y, times: [], isRage: false };
    const { times } = burst;
    times.push(timeStamp);
    if (timeStamp - times[times.length - rageClicks]! <= rageMs) burst.isRage = true;
    clearTimeout(burstTimer);
    burstTimer = setTimeout(endBurst, rageMs);
  };

  // Dead: watched from the press on, for menus open with it; only while something waits for an answer.
  const unanswered = new Set<Unanswered>();
  let wasAnswered = false;
  let watching = 0;

  const answered = () => {
    unanswered.clear();
    observer.disconnect();
  };
  const isLeftAlone = (node: Node) => {
    const element = isElement(node) ? node : node.parentElement;
    return !!element && host.isIgnored(element);
  };
  const observer = new MutationObserver(
    host.guard((records: MutationRecord[]) => {
      // What is to be left alone, a clock or a chat, answers nobody.
      if (records.every(({ target: node }) => isLeftAlone(node))) return;
      wasAnswered = true;
      answered();
    }),
  );

  const watch = (event: Event, done?: () => void) => {
    for (const node of [document, ...event.composedPath()]) {
      // A shadow root's changes are seen only from itself.
      if (node === document || node instanceof ShadowRoot) {
        observer.observe(node as Node, { subtree: true, childList: true, attributes: true, characterData: true });
      }
    }
    watching++;
    setTimeout(
      host.guard(() => {
        if (done) done();
        if (!--watching) observer.disconnect();
      }),
      deadMs,
    );
  };

  const waitForAnswer = (element: Element, event: MouseEvent) => {
    if (wasAnswered || element.closest(ANSWERS_UNSEEN) || !looksInteractive(element)) return;
    // The same, pressed again, is waited for once.
    unanswered.forEach((other) => other.element === element && unanswered.delete(other));
    const click = { element, x: event.pageX, y: event.pageY };
    unanswered.add(click);
    const address = currentAddress();
    watch(event, () => {
      if (!unanswered.delete(click) || currentAddress() !== address || isLoading(element, event)) return;
      sluice.track("dead_click", about(element, click.x, click.y));
    });
  };

  host.listen(document, "pointerdown", (event: PointerEvent) => {
    wasAnswered = false;
    const [element] = event.composedPath();
    if (isElement(element) && looksInteractive(element)) watch(event);
  });
  host.listen(document, "click", (event: MouseEvent) => {
    const path = event.composedPath();
    const [element] = path;
    // Without `detail` it was a key, or a script.
    if (!event.detail || !isElement(element) || host.isIgnored(element)) return;
    // Around a component, or within one around what is put into it.
    const label = path.find((node) => isElement(node) && node.localName === "label") as HTMLLabelElement | undefined;
    joinBurst(element, label, event);
    if (!label) waitForAnswer(element, event);
  });
  for (const type of ANSWERS) host.listen(window, type, answered);
  host.listen(document, "selectionchange", () => {
    // The press itself drops what was selected, and says so late.
    if (!getSelection()?.isCollapsed) answered();
  });
  host.onView(answered);
  host.onHide(endBurst);
};

/** Pages have an `Element` of their own. */
function isElement(node: EventTarget | undefined): node is Element {
  return (node as Node | undefined)?.nodeType === 1;
}

/** Would a visitor expect it to do something? */
function looksInteractive(element: Element): boolean {
  return !!element.closest(INTERACTIVE) || getComputedStyle(element).cursor === "pointer";
}

/** Is it a link that the browser follows? The next page may take its time, or opens elsewhere. */
function isLoading(element: Element, event: MouseEvent): boolean {
  const link = element.closest<HTMLAnchorElement>("a[href]");
  if (!link || event.defaultPrevented) return false;
  const [address, fragment] = link.href.split("#");
  return !/^javascript:/.test(address!) && (fragment === undefined || address !== location.href.split("#")[0]);
}

/** Where the page is; `href="#"` leads nowhere. */
function currentAddress(): string {
  return location.href.replace(/#$/, "");
}

export default plugin;
