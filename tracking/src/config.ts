/** What the script tag's data attributes say. */
export interface Config {
  siteId: string;
  endpoint: string;
  respectDnt: boolean;
  flushMs: number;
  batchSize: number;
  debug: boolean;
}

export const DEFAULT_FLUSH_SECONDS = 5;
export const DEFAULT_BATCH_SIZE = 20;

export function readConfig(
  script: { src: string; dataset: DOMStringMap } | null,
  page: { hostname: string; origin: string },
): Config {
  const data = script ? script.dataset : {};
  return {
    siteId: data.siteId || page.hostname,
    endpoint: data.endpoint || originOf(script ? script.src : "", page.origin) + "/collect",
    respectDnt: data.respectDnt !== "false",
    flushMs: within(data.flushSeconds, DEFAULT_FLUSH_SECONDS, 0, 300) * 1000,
    batchSize: within(data.batchSize, DEFAULT_BATCH_SIZE, 1, 100),
    debug: data.debug !== undefined && data.debug !== "false",
  };
}

function originOf(address: string, fallback: string): string {
  try {
    return new URL(address).origin;
  } catch {
    return fallback;
  }
}

function within(text: string | undefined, fallback: number, least: number, most: number): number {
  const value = parseFloat(text || "");
  return value >= 0 ? Math.min(Math.max(value, least), most) : fallback;
}
