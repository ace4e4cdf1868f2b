import { aboutOf } from "./about";
import { el, showKeyed } from "./dom";
import { asText, timeOfDay } from "./format";
import type { State, Step } from "./trail";

const STAGES: { [state in State]: { reached: number; word: string } } = {
  captured: { reached: 1, word: "captured" },
  retrying: { reached: 1, word: "trying again" },
  dropped: { reached: 1, word: "dropped" },
  forgotten: { reached: 1, word: "forgotten" },
  handed_over: { reached: 2, word: "sent" },
  accepted: { reached: 2, word: "accepted" },
  delivered: { reached: 3, word: "in your bucket" },
};

/** The tab's events, newest first, each with how far it has come. */
export function showLive(list: HTMLElement, steps: Step[]): void {
  showKeyed(list, [...steps].reverse(), (step) => step.event.eventId ?? "", makeItem, updateItem);
}

function makeItem({ event }: Step): HTMLElement {
  const summary = el(
    "summary",
    {},
    el("span", { class: "sl-type" }, event.eventType),
    el("span", { class: "sl-state" }, el("i"), el("i"), el("i"), el("b")),
    el("span", { class: "sl-about" }, aboutOf(event)),
    el("span", { class: "sl-time" }, timeOfDay(event.occurredAt)),
  );
  const details = el("details", {}, summary);
  // Filled when unfolded: two hundred JSON texts nobody reads are not laid out.
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      details.append(el("p", { class: "sl-note" }), el("pre", {}, asText(event)));
      noteOf(details).textContent = details.dataset.note ?? "";
    }
  });
  return el("li", {}, details);
}

function updateItem(item: HTMLElement, { state, note }: Step): void {
  const { reached, word } = STAGES[state];
  item.dataset.state = state;
  item.dataset.reached = String(reached);
  item.querySelector(".sl-state b")!.textContent = word;
  const details = item.firstElementChild as HTMLElement;
  details.dataset.note = note;
  details.querySelector("summary")!.title = note;
  if (details.querySelector(".sl-note")) noteOf(details).textContent = note;
}

function noteOf(details: HTMLElement): HTMLElement {
  return details.querySelector(".sl-note")!;
}
