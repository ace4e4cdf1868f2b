import type { Event } from "../src/event";
import { aboutOf } from "./about";
import { bucketAddress, type Bucket, type Row } from "./bucket";
import { el, showKeyed } from "./dom";
import { asText, kilobytes, timeOfDay } from "./format";

export interface BucketPlaces {
  status: HTMLElement;
  files: HTMLElement;
  rows: HTMLElement;
}

/** What arrived: the watermark, the files, and the rows in them. */
export function showBucket(places: BucketPlaces, bucket: Bucket, ownIds: Set<string>): void {
  places.status.textContent = statusOf(bucket);
  showKeyed(
    places.files,
    bucket.files.slice(0, 5),
    (file) => file.key,
    (file) =>
      el(
        "li",
        {},
        el("a", { href: bucketAddress(file.key), download: "", title: file.key }, file.key.split("/").slice(-2).join("/")),
        el("small", {}, `${file.rows} ${file.rows === 1 ? "row" : "rows"} · ${kilobytes(file.bytes)}`),
      ),
    () => {},
  );
  showKeyed(places.rows, bucket.rows, (row) => String(row.event_id), makeRow, (element, row) => {
    element.dataset.own = String(ownIds.has(String(row.event_id)));
  });
}

function statusOf(bucket: Bucket): string {
  switch (bucket.status) {
    case "unread":
      return "Looking into the bucket…";
    case "silent":
      return "Nothing to show yet. Either the first export is still to come, or this stack keeps its bucket to itself: the bucket is only shown in the demo.";
    case "unreadable":
      return `The bucket could not be read just now; it is tried again in a few seconds. (${bucket.problem})`;
    case "read":
      return `Everything received before ${timeOfDay(bucket.watermark)} has been delivered. Your browser reads the Parquet files itself; there is no server in between.`;
  }
}

function makeRow(row: Row): HTMLElement {
  const details = el(
    "details",
    {},
    el(
      "summary",
      {},
      el("span", { class: "sl-type" }, String(row.event_type)),
      el("span", { class: "sl-own" }, "this tab"),
      el("span", { class: "sl-about" }, aboutOf(eventOf(row))),
      el("span", { class: "sl-time" }, timeOfDay(row.received_at)),
    ),
  );
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(columnsOf(row));
  });
  return el("li", {}, details);
}

function columnsOf(row: Row): HTMLElement {
  const list = el("dl");
  for (const [column, value] of Object.entries(row)) {
    if (value !== null && value !== undefined) list.append(el("dt", {}, column), el("dd", {}, asText(value)));
  }
  return list;
}

function eventOf(row: Row): Event {
  return {
    eventType: String(row.event_type),
    properties: propertiesOf(row),
    path: text(row.path),
    url: text(row.url),
    userId: text(row.user_id),
  };
}

function propertiesOf(row: Row): { [name: string]: unknown } | undefined {
  try {
    return typeof row.properties === "string" ? JSON.parse(row.properties) : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
