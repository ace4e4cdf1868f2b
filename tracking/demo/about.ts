import type { Event } from "../src/event";

type Told = { [name: string]: any };

/** What tells two events of a type apart, in a few words. */
export function aboutOf(event: Event): string {
  return whatItTells(event) || addressOf(event);
}

/** Within its site. */
function addressOf({ path = "", url = "" }: Event): string {
  return url.replace(/^[a-z]+:\/\/[^/]*/, "") || path;
}

function whatItTells({ eventType, properties: told = {}, userId }: Event): string {
  const say = SAYINGS.get(eventType) ?? (() => joined(told.text, told.name ?? told.form, amount(told)));
  try {
    return say(told, userId);
  } catch {
    // Anybody may send an event of this name, with other properties or none.
    return "";
  }
}

const SAYINGS = new Map<string, (told: Told, userId?: string) => string>(Object.entries({
  page_view: () => "",
  click: (t) => joined(t.text || t.selector, t.outbound && "leads away", t.download && "a file"),
  form_submit: (t) => joined(t.form || t.selector, counted(t.fields, "field")),
  form_start: (t) => joined(t.form, `at ${t.field}`),
  form_complete: (t) => joined(t.form, counted(t.fields?.length, "field"), seconds(t.elapsedMs)),
  form_abandon: (t) => joined(t.form, `at ${t.lastField}`, seconds(t.elapsedMs)),
  text_select: (t) => counted(t.length, "character"),
  copy: (t) => counted(t.length, "character"),
  scroll_depth: (t) => `${t.percent} % of the page`,
  visibility_change: (t) => t.state,
  focus_change: (t) => (t.focused ? "came back to the window" : "left the window"),
  engagement: (t) => `${seconds(t.engagedMs)} with the page`,
  web_vital: (t) => joined(`${t.name} ${t.name === "CLS" ? t.value.toFixed(3) : Math.round(t.value) + " ms"}`, t.rating, t.target),
  rage_click: (t) => joined(t.label || t.selector, `${t.clicks} times in ${seconds(t.durationMs)}`),
  dead_click: (t) => t.label || t.selector,
  js_error: (t) => joined(t.count > 1 && `${t.count} more times`, t.message, t.line && `line ${t.line}`),
  resource_error: (t) => joined(t.tag, t.url && lastStep(t.url)),
  search: (t) => joined(`“${t.query}”`, t.results !== undefined && counted(t.results, "result")),
  search_failed: (t) => `“${t.query}”`,
  heatmap: (t) => joined(counted(t.moves?.length, "move"), `saw ${t.scrollMax} of ${t.pageHeight} px`),
  impression: (t) => joined(t.name || t.selector, inView(t)),
  widget_impression: (t) => joined(widget(t), inView(t)),
  widget_click: (t) => joined(widget(t), t.clickTarget),
  impression_time: (t) => joined(counted(t.items?.length, "thing"), `${seconds(sumOf(t.items, "visibleMs"))} in view`),
  exposure: (t) => joined(t.experiment, t.variant),
  identify: (t, userId) => joined(userId, t.name),
  group: (t) => joined(t.groupId, t.name),
  alias: (t, userId) => `${t.previousId} is ${userId}`,
  checkout: (t) => joined(counted(t.itemCount, "thing"), amount(t)),
  purchase: (t) => joined(t.orderId, amount(t)),
  media_play: playback,
  media_pause: playback,
  media_end: playback,
  media_leave: playback,
  media_progress: (t) => joined(`${t.percent} %`, playback(t)),
}));

function playback(t: Told): string {
  return joined(t.title || (t.src && lastStep(t.src)) || t.kind, `at ${seconds(t.positionMs)}`);
}

function widget(t: Told): string {
  return joined(t.mappingId, t.widgetIndex && `no. ${t.widgetIndex}`, t.postId);
}

function inView(t: Told): string {
  return `${t.viewportPercent} % in view`;
}

function joined(...parts: unknown[]): string {
  return parts.filter((part) => part || part === 0).join(" · ");
}

function counted(count: number | undefined, thing: string): string {
  return count === undefined ? "" : `${count} ${thing}${count === 1 ? "" : "s"}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function amount({ value, price, currency }: Told): string {
  return joined(value ?? price) && `${value ?? price} ${currency ?? ""}`.trim();
}

function lastStep(address: string): string {
  return address.replace(/[?#].*$/, "").split("/").pop()!;
}

function sumOf(items: Told[] | undefined, name: string): number {
  return (items ?? []).reduce((sum, item) => sum + (item[name] || 0), 0);
}
