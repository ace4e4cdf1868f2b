import type { Consent } from "./consent";
import { guard } from "./guard";
import type { Plugin } from "./plugin";

const MAX_WAITING = 1_000;

type Properties = { [name: string]: unknown };

/** What `window.sluice` offers; each is also a command: `sluice("track", name, properties)`. */
export interface Commands {
  /** Record an event of the site's own kind; `isUrgent` sends it at once. */
  track(name: string, properties?: Properties, isUrgent?: boolean): void;
  /** Record a page view that no change of address tells. */
  page(properties?: Properties): void;
  /** Say who is signed in; later events carry it, on later pages too, until `reset`. */
  identify(userId: string, traits?: Properties): void;
  /** Say that two ids are one person's: the one so far, or another, and the new one. */
  alias(userId: string, previousId?: string): void;
  /** Say which organisation the signed-in user belongs to. */
  group(groupId: string, traits?: Properties): void;
  /** Forget visitor, session and user: what follows is somebody new. */
  reset(): void;
  /** Say what the visitor allows; `policy` names what they were asked. */
  consent(state: Consent, options?: { policy?: string }): void;
  /** Stop, forget everything unsent and stored, and remember the "no". */
  optOut(): void;
  optIn(): void;
  /** Send now what waits. */
  flush(): void;
  /** Add a plugin: the name of one of ours, which is loaded then, or one's own. */
  use(plugin: string | Plugin): void;
}

export type Command = ArrayLike<unknown>;

export interface Sluice extends Commands {
  (...command: unknown[]): void;
  q: { push(...commands: Command[]): void };
  isLoaded: true;
}

/** The host page's names of ours: the stub with its queue before we load, the real thing after. */
interface Host {
  [name: string]: Partial<Sluice> & { q?: Iterable<Command> };
}

export function isInstalled(host: object, name: string): boolean {
  return !!(host as Host)[name]?.isLoaded;
}

/**
 * Replace the stub. What it queued, and what comes until then, runs when the result is called: of
 * all that waits what is called so; without a name the rest, and from then on everything at once.
 */
export function installApi(host: object, name: string, commands: Commands): (only?: RegExp) => void {
  let waiting: Command[] | undefined = Array.from((host as Host)[name]?.q || []);

  const perform = guard((command: Command) => {
    const [verb, ...args] = Array.from(command);
    (commands[verb as keyof Commands] as (...args: unknown[]) => void)(...args);
  });
  const run = (command: Command) => {
    if (!waiting) perform(command);
    else if (waiting.length < MAX_WAITING) waiting.push(command);
  };
  const sluice = ((...command: unknown[]) => run(command)) as Sluice;
  for (const verb in commands) {
    sluice[verb as keyof Commands] = (...args: unknown[]) => run([verb, ...args]);
  }
  sluice.isLoaded = true;
  // A page that kept a reference to the stub goes on pushing here.
  sluice.q = { push: (...more) => more.forEach(run) };
  (host as { [name: string]: unknown })[name] = sluice;

  return (only) => {
    const before = waiting!;
    const isNow = (command: Command) => !only || only.test(command[0] as string);
    waiting = only && before.filter((command) => !isNow(command));
    before.filter(isNow).forEach(perform);
  };
}
