/** What the script tag says. */
export interface Config {
  siteId: string;
  endpoint: string;
  /** The script's address. */
  src: string;
  /** Everything on the tag, for what only one part reads. */
  data: DOMStringMap;
}

/**
 * The tag that runs the script; where something else does, as for a module or what jQuery appends,
 * the first that says `data-sluice`. Without any nothing is known of what the page asks for.
 */
export function ownTag(): HTMLScriptElement {
  const own = document.currentScript as HTMLScriptElement | null;
  return own?.src ? own : document.querySelector("script[data-sluice]")!;
}

export function readConfig(
  script: { src: string; dataset: DOMStringMap },
  page: { hostname: string; href: string },
): Config {
  const { src, dataset: data } = script;
  // By hand: a process's first URL object takes two milliseconds.
  return {
    siteId: data.siteId || page.hostname,
    endpoint: data.endpoint || src.split("/", 3).join("/") + "/collect",
    src,
    data,
  };
}

/** The name of this tracker on `window`, before what it stores, and of its database. */
export function nameOf({ name }: DOMStringMap): string {
  return name || "sluice";
}

/** Is a setting on? Said without a value it is. */
export function isOn(text: string | undefined): boolean {
  return (text ?? "false") !== "false";
}

/** A number within its bounds; the fallback where it is none. */
export function within(text: string | undefined, fallback: number, least: number, most: number): number {
  const value = parseFloat(text!);
  return value >= 0 ? Math.min(Math.max(value, least), most) : fallback;
}
