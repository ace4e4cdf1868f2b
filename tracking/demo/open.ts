const OPEN_KEY = "sluice_demo_panel";
const WIDE = "(min-width: 1000px)";

/** Whether the panel stands open on this tab: as it was left, and at first where there is room for it. */
export function wasOpen(): boolean {
  const kept = sessionStorage.getItem(OPEN_KEY);
  return kept === null ? matchMedia(WIDE).matches : kept === "open";
}

export function keepOpen(open: boolean): void {
  sessionStorage.setItem(OPEN_KEY, open ? "open" : "closed");
}
