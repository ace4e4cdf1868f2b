import type { Announcements } from "../src/announce";
import type { Event } from "../src/event";

/** How far an event has come, as far as this page can know. */
export type State = "captured" | "handed_over" | "retrying" | "dropped" | "forgotten" | "accepted" | "delivered";

export interface Step {
  event: Event;
  state: State;
  /** What was answered, in a few words. */
  note: string;
}

/** The events of this tab, oldest first, kept across its pages. */
export interface Trail {
  steps(): Step[];
  markDelivered(eventIds: Set<string>): void;
  /** The visitor said no: the tracker has thrown away what waited, and announces nothing more. */
  forgetWaiting(): void;
  onChange(run: () => void): void;
}

declare global {
  interface Window {
    sluiceTrail?: Trail;
  }
}

const STORAGE_KEY = "sluice_demo_trail";
const MAX_STEPS = 200;

export function recordTrail(): Trail {
  let steps = load();
  const listeners: (() => void)[] = [];

  function changed(): void {
    steps = steps.slice(-MAX_STEPS);
    try {
      sessionStorage.setItem(STORAGE_KEY, JSON.stringify(steps));
    } catch {
      // Full or forbidden: the trail then ends with the page.
    }
    listeners.forEach((run) => run());
  }

  function mark(eventIds: string[], state: State, note: string): void {
    const ids = new Set(eventIds);
    for (const step of steps) {
      if (step.state !== "delivered" && ids.has(step.event.eventId ?? "")) Object.assign(step, { state, note });
    }
    changed();
  }

  listen("sluice:event", ({ event }) => {
    steps.push({ event, state: "captured", note: "waiting for its batch" });
    changed();
  });
  listen("sluice:sent", ({ eventIds, status, answer }) => {
    mark(eventIds, "accepted", `${status} · ${describeAnswer(answer)}`);
  });
  listen("sluice:failed", ({ eventIds, reason, status, retryInMs }) => {
    const why = reason === "overflow" ? "the queue was full" : status ? `answered ${status}` : "no answer";
    if (retryInMs === null) mark(eventIds, "dropped", why);
    else mark(eventIds, "retrying", `${why}, again in ${(retryInMs / 1000).toFixed(1)} s`);
  });

  return {
    steps: () => steps,
    markDelivered(eventIds) {
      const arrived = steps.filter((step) => step.state !== "delivered" && eventIds.has(step.event.eventId ?? ""));
      arrived.forEach((step) => Object.assign(step, { state: "delivered", note: "read back from the Parquet file" }));
      if (arrived.length) changed();
    },
    forgetWaiting() {
      const waiting = steps.filter(({ state }) => state === "captured" || state === "retrying");
      waiting.forEach((step) => Object.assign(step, { state: "forgotten", note: "you said no before it was sent" }));
      if (waiting.length) changed();
    },
    onChange: (run) => void listeners.push(run),
  };
}

function listen<Name extends keyof Announcements>(name: Name, run: (detail: Announcements[Name]) => void): void {
  addEventListener(name, (event) => run((event as CustomEvent<Announcements[Name]>).detail));
}

function load(): Step[] {
  try {
    const steps: Step[] = JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "[]");
    // What was under way when the page before ended had nobody left to hear its answer.
    return steps.map((step) =>
      step.state === "captured" || step.state === "retrying"
        ? { ...step, state: "handed_over", note: "left with the page before" }
        : step,
    );
  } catch {
    return [];
  }
}

function describeAnswer(answer: unknown): string {
  if (typeof answer !== "object" || answer === null) return "taken";
  const counts = Object.entries(answer).filter(([, value]) => typeof value === "number");
  return counts.map(([name, value]) => `${name} ${value}`).join(", ") || "taken";
}
