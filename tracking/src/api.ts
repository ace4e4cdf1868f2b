import { guard } from "./guard";

const MAX_WAITING = 1_000;

type Properties = { [name: string]: unknown };

/** What `window.sluice` offers; each is also a command: `sluice("track", name, properties)`. */
export interface Commands {
  /** Record an event of the site's own kind. */
  track(name: string, properties?: Properties): void;
  /** Record a page view that no change of address tells. */
  page(properties?: Properties): void;
  /** Say who is signed in; later events carry it, on later pages too, until `reset`. */
  identify(userId: string, traits?: Properties): void;
  /** Forget visitor, session and user: what follows is somebody new. */
  reset(): void;
  /** Stop, forget everything unsent and stored, and remember the "no". */
  optOut(): void;
  optIn(): void;
  /** Send now what waits. */
  flush(): void;
}

export type Command = ArrayLike<unknown>;

export interface Sluice extends Commands {
  (...command: unknown[]): void;
  q: { push(...commands: Command[]): void };
  isLoaded: true;
}

/** The host page's names of ours: the stub with its queue before we load, the real thing after. */
interface Host {
  sluice?: { q?: ArrayLike<Command>; isLoaded?: boolean };
}

export function isInstalled(host: object): boolean {
  const { sluice } = host as Host;
  return !!sluice && sluice.isLoaded === true;
}

/** Replace the stub; what it queued, and what comes until then, runs at `replay`. */
export function installApi(host: object, commands: Commands): { replay(): void } {
  const stub = (host as Host).sluice;
  let waiting: Command[] | undefined = stub && stub.q ? Array.from(stub.q) : [];

  const perform = guard((command: Command) => {
    const [name, ...args] = Array.from(command);
    if (!Object.prototype.hasOwnProperty.call(commands, name as string)) return;
    (commands[name as keyof Commands] as (...args: unknown[]) => void)(...args);
  });
  const run = (command: Command) => {
    if (!waiting) perform(command);
    else if (waiting.length < MAX_WAITING) waiting.push(command);
  };

  const sluice = ((...command: unknown[]) => run(command)) as Sluice;
  for (const name of Object.keys(commands) as (keyof Commands)[]) {
    sluice[name] = (...args: unknown[]) => run([name, ...args]);
  }
  sluice.isLoaded = true;
  // A page that kept a reference to the stub goes on pushing here.
  sluice.q = { push: (...more) => more.forEach(run) };
  (host as { sluice: Sluice }).sluice = sluice;

  return {
    replay() {
      const before = waiting || [];
      waiting = undefined;
      before.forEach(perform);
    },
  };
}
