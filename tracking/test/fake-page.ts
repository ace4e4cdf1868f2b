import type { Consent } from "../src/consent";
import type { Commands } from "../src/api";
import type { Host, Plugin, Properties } from "../src/plugin";

export type Entry = ArrayLike<unknown> | object | null | undefined;

/** As much of a browser's page as a plugin without a document needs, and what it told the tracker. */
export class FakePage {
  readonly told: { type: string; properties: Properties | undefined }[] = [];
  readonly consents: unknown[][] = [];
  readonly errors: unknown[] = [];
  readonly window: { [name: string]: any } = {};
  private granted: (() => void)[] = [];
  private denied: (() => void)[] = [];

  /** What holds now, as it may have been said elsewhere. */
  holds: Consent | undefined;

  /** `stored` is what the tab's session has kept so far: hand it on, and this page is the same one reloaded. */
  constructor(
    private readonly settings: { options?: { [name: string]: string }; isGranted?: boolean; stored?: object; consent?: Consent } = {},
  ) {
    this.holds = settings.consent;
    Object.assign(globalThis, { window: this.window, sessionStorage: settings.stored || {} });
  }

  run(plugin: Plugin): this {
    const sluice = {
      // A copy as JSON, as the tracker makes one: what is undefined is not there.
      track: (type: string, properties?: Properties) =>
        void this.told.push({ type, properties: JSON.parse(JSON.stringify(properties ?? null)) ?? undefined }),
      consent: (...said: unknown[]) => void this.consents.push(said),
    };
    plugin(sluice as unknown as Commands, this.host() as Host);
    return this;
  }

  grant(): void {
    this.granted.forEach((run) => run());
  }

  deny(): void {
    this.denied.forEach((run) => run());
  }

  private host(): Partial<Host> {
    const { options = {}, isGranted = true } = this.settings;
    return {
      siteId: "shop.example",
      option: (name) => options[name],
      guard: ((run: (...args: unknown[]) => unknown) =>
        (...args: unknown[]) => {
          try {
            return run(...args);
          } catch (error) {
            this.errors.push(error);
          }
        }) as Host["guard"],
      redact: (text) => text.replace(/\S+@\S+/g, "[redacted:email]"),
      consent: () => this.holds ?? (isGranted ? "granted" : "pending"),
      onHide: () => {},
      onView: () => {},
      whenGranted: (run) => (isGranted ? run() : this.granted.push(run)),
      whenDenied: (run) => this.denied.push(run),
    };
  }
}

/** What `gtag(…)` pushes: its `arguments`, which are no array. */
export function gtag(..._: unknown[]): ArrayLike<unknown> {
  return arguments;
}
