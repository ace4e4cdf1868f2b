/**
 * Types of `window.sluice` for the pages that call it: copy this file into the project, or include
 * it. The tracker is loaded by a script tag, so there is nothing to import but types.
 */

/** A plain object; copied as JSON when the command runs. */
export interface SluiceProperties {
  [name: string]: unknown;
}

/** What the visitor said: `pending` is "not asked yet". */
export type SluiceConsent = "granted" | "denied" | "pending";

export interface SluiceConsentOptions {
  /** Version of the policy consented to; stands on each event. */
  policy?: string;
}

/** What the tracker does, each as a method once it has come. */
export interface SluiceCommands {
  /** Record an event of the site's own kind; `isUrgent` sends it at once. */
  track(name: string, properties?: SluiceProperties, isUrgent?: boolean): void;
  /** Record a page view that no change of address tells. */
  page(properties?: SluiceProperties): void;
  /** Say who is signed in; later events carry it, on later pages too, until `reset`. */
  identify(userId: string, traits?: SluiceProperties): void;
  /** Say that two ids are one person. Without `previousId`: the id known until now. */
  alias(userId: string, previousId?: string): void;
  /** Say which organisation the person belongs to. */
  group(groupId: string, traits?: SluiceProperties): void;
  /** Forget visitor, session and user: what follows is somebody new. */
  reset(): void;
  /** Say what the visitor consented to. */
  consent(state: SluiceConsent, options?: SluiceConsentOptions): void;
  /** Stop, forget everything unsent and stored, and remember the "no". */
  optOut(): void;
  /** Take the "no" back. */
  optIn(): void;
  /** Send now what waits. */
  flush(): void;
  /** Load a plugin by its name, or run one of the site's own. */
  use(plugin: SluicePlugin | string): void;
}

/** Each command as a call; it waits where the tracker has not come yet. */
export interface SluiceCall {
  (command: "track", name: string, properties?: SluiceProperties, isUrgent?: boolean): void;
  (command: "page", properties?: SluiceProperties): void;
  (command: "identify", userId: string, traits?: SluiceProperties): void;
  (command: "alias", userId: string, previousId?: string): void;
  (command: "group", groupId: string, traits?: SluiceProperties): void;
  (command: "consent", state: SluiceConsent, options?: SluiceConsentOptions): void;
  (command: "use", plugin: SluicePlugin | string): void;
  (command: "reset"): void;
  (command: "optOut"): void;
  (command: "optIn"): void;
  (command: "flush"): void;
}

/** The stub that a page puts there before the tracker has come: it takes calls, and nothing else. */
export interface SluiceQueue extends SluiceCall {
  q?: ArrayLike<unknown>[];
  isLoaded?: undefined;
}

/** The tracker. */
export interface Sluice extends SluiceCall, SluiceCommands {
  q: { push(...commands: ArrayLike<unknown>[]): void };
  isLoaded: true;
}

/** A plugin of the site's own: called once, when the page is shown and the tracker is ready. */
export type SluicePlugin = (sluice: SluiceCommands, host: SluiceHost) => void;

/** What a plugin is given beside the commands. */
export interface SluiceHost {
  /** `data-<name>` of the script tag, in camel case: `vitalsSample` for `data-vitals-sample`. */
  option(name: string): string | undefined;
  /** Listen, capturing and passive; what `run` throws does not reach the page. */
  listen(target: EventTarget, type: string, run: (event: any) => void): void;
  /** Run when the page is hidden or left, before what waits is handed to the browser. */
  onHide(run: () => void): void;
  /** Run after each page view that follows. */
  onView(run: () => void): void;
  /** Run when the page has nothing better to do, or has had something for two seconds. */
  whenIdle(run: () => void): void;
  /** A function that never throws into the page. */
  guard<Run extends (...args: any[]) => unknown>(run: Run): Run;
  /** A short CSS path that finds the element again. */
  selector(element: Element): string;
  /** A control's label, redacted; "" for what a visitor typed or the page hides. */
  label(element: Element): string;
  /** The text without what may tell who somebody is or what they pay with. */
  redact(text: string): string;
  /** The address without parameters that may be secret or personal. */
  cleanUrl(address: string): string;
  /** Is the element, or one around it, marked `data-sluice-ignore`? */
  isIgnored(element: Element): boolean;
  /** What holds now; "denied", too, after an opt-out or with a privacy signal. */
  consent(): SluiceConsent | "unknown";
  /** Who and which visit, undefined until an event begins the next; undefined where nothing may be told or kept. */
  identity(): { visitorId: string; sessionId: string | undefined } | undefined;
  /**
   * Run once events may be told and things may be stored, and once more when they may again after
   * `whenDenied`; `explicitly` waits for a consent that was said, where nobody asks, too.
   */
  whenGranted(run: () => void, explicitly?: boolean): void;
  /** Run when consent is denied or taken back, or the visitor opts out. */
  whenDenied(run: () => void): void;
  siteId: string;
  endpoint: string;
}

declare global {
  interface Window {
    /** Absent on a page without the stub until the tracker has come. */
    sluice?: SluiceQueue | Sluice;
  }
}
