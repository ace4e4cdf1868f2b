import type { Commands } from "./api";
import type { Consent } from "./consent";

export type Properties = { [name: string]: unknown };

/**
 * A plugin: called once, when the page is shown and the tracker is ready. A file of `plugins/`
 * exports one as its default, and is a chunk of its own, loaded by `use("<its name>")`.
 */
export type Plugin = (sluice: Commands, host: Host) => void;

/** What a plugin is given beside the commands: the tracker's own parts, so that it need not bring them. */
export interface Host {
  /** `data-<name>` of the script tag, in camel case: `vitalsSample` for `data-vitals-sample`. */
  option(name: string): string | undefined;
  /** Listen, capturing and passive; what `run` throws does not reach the page. */
  listen(target: EventTarget, type: string, run: (event: any) => unknown): void;
  /** Run when the page is hidden or left, before what waits is handed to the browser. It may be seen again. */
  onHide(run: () => void): unknown;
  /** Run after each page view; not for the one that was recorded before the plugin came. */
  onView(run: () => void): unknown;
  /** Run when the page has nothing better to do, or has had something for two seconds. */
  whenIdle(run: () => void): void;
  /** A function that never throws into the page: for callbacks that `listen` does not make. */
  guard<Run extends (...args: any[]) => unknown>(run: Run): Run;
  /** A short CSS path that finds the element again. */
  selector(element: Element): string;
  /** A control's label, at most 100 characters, redacted; "" for what a visitor typed or the page hides. */
  label(element: Element): string;
  /** The text without what may tell who somebody is or what they pay with. */
  redact(text: string): string;
  /** The address without parameters that may be secret or personal, at most 8,000 characters. */
  cleanUrl(address: string): string;
  /** Is the element, or one around it, marked `data-sluice-ignore`? */
  isIgnored(element: Element): boolean;
  /** What holds now; "denied", too, after an opt-out or with a privacy signal. */
  consent(): Consent;
  /** Who and which visit, undefined until an event begins the next; undefined where nothing may be told or kept. */
  identity(): { visitorId: string; sessionId: string | undefined } | undefined;
  /**
   * Run once events may be told and things may be stored: now, or when consent is granted; once more
   * when they may again after `whenDenied`. Where nobody asks the visitor that is now; `explicitly`
   * waits for a consent that was said.
   */
  whenGranted(run: () => void, explicitly?: boolean): unknown;
  /** Run when consent is denied or taken back, or the visitor opts out; what still may begins again. */
  whenDenied(run: () => void): unknown;
  /** What the script tag says or stands for. */
  siteId: string;
  endpoint: string;
}
