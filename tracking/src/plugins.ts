import type { Commands } from "./api";
import { isIgnored, labelOf, selectorOf } from "./element";
import { guard, listen, report, whenIdle } from "./guard";
import type { Host, Plugin } from "./plugin";
import { cleanUrl, redact } from "./redact";

// Said by the build: the chunks' common hash, and their names in the order of their digits.
declare const BUILD: string;
declare const PLUGINS: string;

/** What plugins are given that needs nothing of a page's own state. */
export const tools = {
  listen,
  whenIdle,
  guard,
  redact,
  cleanUrl,
  isIgnored,
  selector: selectorOf,
  label: labelOf,
};

/** Where a chunk of ours is: beside the script of this address, whatever that is called. */
export function besideScript(src: string, chunk: string): string {
  return src.replace(/[^/]*([?#].*)?$/, chunk);
}

/** Add plugins, each once; those of ours are loaded from beside the script. */
export function createUse(src: string, sluice: Commands, host: Host): (plugin: string | Plugin) => void {
  const used = [] as (string | Plugin)[];
  return (plugin) => {
    if (used.includes(plugin)) return;
    used.push(plugin);
    if (typeof plugin !== "string") return plugin(sluice, host);
    const number = PLUGINS.split(" ").indexOf(plugin);
    if (number < 0) throw "no plugin is called " + plugin;
    void import(besideScript(src, BUILD + number.toString(36) + ".js"))
      .then((chunk: { default: Plugin }) => chunk.default(sluice, host))
      .catch((error) => report(error));
  };
}
