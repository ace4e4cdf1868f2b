/**
 * The types that pages get (`sluice.d.ts`, by hand) against the tracker's own. Nothing here runs:
 * `npm run check` fails where the two tell different things.
 */
import type { Commands } from "../src/api";
import type { Host, Plugin } from "../src/plugin";
import type { SluiceCall, SluiceCommands, SluiceHost, SluicePlugin } from "../sluice";

type Holds<Claim extends true> = Claim;
/** Both take what the other takes. */
type Agree<One, Other> = [One] extends [Other] ? ([Other] extends [One] ? true : false) : false;
type Arguments<Of> = Of extends (...args: infer Args) => void ? Args : never;
/** All that a page may write is taken, and there is nothing more to write. Of states a page knows fewer. */
type Takes<Page extends unknown[], Tracker extends unknown[]> = Page extends Tracker
  ? Agree<Page["length"], Tracker["length"]>
  : false;
/** The names of the commands on which they differ; `never` is what is wanted. */
type Disagreements<Page, Tracker> = {
  [Name in keyof Page | keyof Tracker]: Name extends keyof Page & keyof Tracker
    ? Takes<Arguments<Page[Name]>, Arguments<Tracker[Name]>> extends true
      ? never
      : Name
    : Name;
}[keyof Page | keyof Tracker];
type None<Names> = [Names] extends [never] ? true : false;

// Until `src/api.ts` has its new commands, the others alone are held against it.
type NotYet = "alias" extends keyof Commands ? never : "alias" | "group" | "consent" | "use" | "track";
export type CommandsAgree = Holds<None<Disagreements<Omit<SluiceCommands, NotYet>, Omit<Commands, NotYet>>>>;

/** `sluice("track", …)`, made of `track(…)`. */
type AsCall<Of> = { [Name in keyof Of]: (command: Name, ...args: Arguments<Of[Name]>) => void }[keyof Of];
/** An intersection of functions: whoever is one, takes each of the calls. */
type All<Of> = (Of extends unknown ? (calls: Of) => void : never) extends (calls: infer Every) => void ? Every : never;
export type EveryMethodIsACall = Holds<SluiceCall extends All<AsCall<SluiceCommands>> ? true : false>;
export type EveryCallIsAMethod = Holds<All<AsCall<SluiceCommands>> extends SluiceCall ? true : false>;

// A plugin written against the one is a plugin to the other; `SluiceCommands` may know more commands.
type Withheld = Exclude<keyof Host, keyof SluiceHost>;
type Promised = Exclude<keyof SluiceHost, keyof Host>;
export type HostIsTold = Holds<None<Withheld | Promised>>;
export type HostAgrees = Holds<Agree<SluiceHost, Host>>;
export type PluginsAgree = Holds<[NotYet] extends [never] ? Agree<SluicePlugin, Plugin> : true>;

/** What a page may write, and what it may not. */
export function aPage(): void {
  const { sluice } = window;
  // @ts-expect-error the tracker may not be there
  sluice("flush");
  if (!sluice) return;
  sluice("track", "signup", { plan: "pro" });
  sluice("page");
  sluice("identify", "u_1", { plan: "pro" });
  sluice("alias", "u_1", "old-1");
  sluice("group", "g_1", { name: "Initech" });
  sluice("consent", "granted", { policy: "2026-11" });
  sluice("use", "vitals");
  sluice("use", (commands, host) => host.whenGranted(() => commands.track("granted", { site: host.siteId })));
  sluice("optOut");
  // @ts-expect-error an event has a name
  sluice("track");
  // @ts-expect-error no such state
  sluice("consent", "yes");
  // @ts-expect-error no such command
  sluice("trak", "signup");
  // @ts-expect-error ids are text
  sluice("identify", 7);
  // @ts-expect-error flush takes nothing
  sluice("flush", 7);
  // @ts-expect-error methods come with the tracker
  sluice.track("signup");
  if (sluice.isLoaded) {
    sluice.track("signup", { plan: "pro" });
    sluice.consent("denied");
    sluice.use("replay");
  }
  // The stub of the README.
  window.sluice = function (...command: unknown[]) {
    const stub = window.sluice as import("../sluice").SluiceQueue;
    (stub.q = stub.q || []).push(command);
  };
}
