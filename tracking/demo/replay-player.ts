import { Replayer } from "@rrweb/replay";
import { el } from "./dom";
import { timeOfDay } from "./format";
import { listRecordings, readRecording, type Recording } from "./recordings";

const place = (name: string) => document.querySelector<HTMLElement>(`#${name}`)!;
const [status, list, stage, controls] = ["status", "recordings", "stage", "controls"].map(place) as [
  HTMLElement, HTMLElement, HTMLElement, HTMLElement,
];

let shown: Player | undefined;

async function showList(): Promise<void> {
  try {
    const recordings = await listRecordings();
    status.textContent = recordings.length
      ? "Your browser reads the bucket itself; there is no server in between."
      : "Nothing recorded yet, or not delivered yet. Nobody is recorded before they agree: press Yes under Consent on the page Captures, look around, and wait for the next export, a minute at most.";
    list.replaceChildren(...recordings.map(entry));
  } catch (error) {
    status.textContent = `The bucket could not be read: ${error}`;
  }
}

function entry(recording: Recording): HTMLElement {
  const seconds = Math.round((Number(recording.endedAt) - Number(recording.startedAt)) / 1000);
  const about = `${recording.siteId} · ${timeOfDay(recording.startedAt)} · ${seconds} s · ${recording.events} events`;
  const button = el("button", { type: "button", class: "quiet" }, about);
  button.addEventListener("click", () => void play(recording));
  return el("li", {}, button);
}

async function play(recording: Recording): Promise<void> {
  shown?.close();
  try {
    const events = await readRecording(recording);
    if (events.length < 2) throw new Error("it has no full picture of the page");
    shown = openPlayer(events);
    status.textContent = `Recording ${recording.recordingId} of session ${recording.sessionId}.`;
  } catch (error) {
    status.textContent = `This recording cannot be played: ${error}`;
  }
}

interface Player {
  close(): void;
}

function openPlayer(events: any[]): Player {
  const replayer = new Replayer(events, { root: stage, mouseTail: false, showWarning: false, UNSAFE_replayCanvas: false });
  const { totalTime } = replayer.getMetaData();
  const toggle = el("button", { type: "button" }, "Pause");
  const seek = el("input", { type: "range", min: "0", max: String(totalTime), value: "0", "aria-label": "Position" });
  const speed = el("select", { "aria-label": "Speed" }, ...["1", "2", "4", "8"].map((n) => el("option", { value: n }, `${n}×`)));
  let isPlaying = true;

  const goTo = (at: number, playing: boolean) => {
    isPlaying = playing;
    toggle.textContent = playing ? "Pause" : "Play";
    if (playing) replayer.play(at);
    else replayer.pause(at);
  };
  toggle.addEventListener("click", () => {
    const at = replayer.getCurrentTime();
    goTo(isPlaying || at < totalTime ? at : 0, !isPlaying);
  });
  seek.addEventListener("input", () => goTo(Number(seek.value), isPlaying));
  speed.addEventListener("change", () => replayer.setConfig({ speed: Number(speed.value) }));
  replayer.on("finish", () => goTo(totalTime, false));
  replayer.on("resize", () => fit(replayer.wrapper));
  const ticking = setInterval(() => (seek.value = String(Math.min(replayer.getCurrentTime(), totalTime))), 200);

  controls.replaceChildren(toggle, seek, speed);
  goTo(0, true);
  return {
    close() {
      clearInterval(ticking);
      replayer.destroy();
      stage.replaceChildren();
      controls.replaceChildren();
    },
  };
}

/** The page as it was, as wide as there is room for. */
function fit(wrapper: HTMLElement): void {
  const { width, height } = wrapper.getBoundingClientRect();
  const scale = Math.min(1, stage.clientWidth / (width || 1));
  wrapper.style.transformOrigin = "0 0";
  wrapper.style.transform = `scale(${scale})`;
  stage.style.height = `${height * scale}px`;
}

place("again").addEventListener("click", () => void showList());
void showList();
