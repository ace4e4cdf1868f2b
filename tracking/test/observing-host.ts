import type { Commands } from "../src/api";
import type { Host, Plugin, Properties } from "../src/plugin";

/** A page and a tracker turned by hand, for plugins that observe. */
export function observing(plugin: Plugin, options: { [name: string]: string } = {}) {
  const tracked: { name: string; properties: Properties }[] = [];
  const listeners: { target: unknown; type: string; run: (event: unknown) => void }[] = [];
  const hooks = { hide: [] as (() => void)[], view: [] as (() => void)[] };
  const host: Partial<Host> = {
    option: (name) => options[name],
    listen: (target, type, run) => void listeners.push({ target, type, run }),
    onHide: (run) => void hooks.hide.push(run),
    onView: (run) => void hooks.view.push(run),
    guard: (run) => run,
    selector: (element) => "#" + element.id,
    label: (element) => "label of " + element.id,
    redact: (text) => text.replace(/\S+@\S+/g, "[email]"),
    cleanUrl: (address) => address.replace(/([?&])token=[^&\s]*/g, "$1token=[redacted]"),
    isIgnored: (element) => (element as unknown as { ignored?: boolean }).ignored === true,
  };
  const track = (name: string, properties: Properties = {}) => void tracked.push({ name, properties });
  plugin({ track } as Commands, host as Host);
  return {
    tracked,
    of: (name: string) => tracked.filter((one) => one.name === name).map((one) => one.properties),
    fire: (type: string, event: object = {}) =>
      listeners.filter((one) => one.type === type).forEach(({ run }) => run(event)),
    hide: () => hooks.hide.forEach((run) => run()),
    view: () => hooks.view.forEach((run) => run()),
  };
}

/** What Node lacks of a browser, as the plugin under test needs it. */
export function define(globals: { [name: string]: unknown }): void {
  for (const name in globals) Object.defineProperty(globalThis, name, { value: globals[name], configurable: true, writable: true });
}

/** An element of which only what a test says is known. */
export class FakeElement {
  nodeType = 1;
  localName = "button";
  id = "it";
  matching: string[] = [];
  closest(selector: string): FakeElement | null {
    return selector.split(",").some((one) => one === this.localName || this.matching.includes(one)) ? this : null;
  }
  matches(selector: string): boolean {
    return this.closest(selector) === this;
  }
  getAttribute(): string | null {
    return null;
  }
}
