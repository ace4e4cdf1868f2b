export function timeOfDay(instant: unknown): string {
  const date = instant instanceof Date ? instant : new Date(String(instant));
  return isNaN(date.getTime()) ? "" : date.toLocaleTimeString([], { hourCycle: "h23" });
}

export function kilobytes(bytes: number): string {
  return bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} KB`;
}

/** Any value as text: JSON indented, bigints and dates readable. */
export function asText(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "string") return indentJson(value);
  return JSON.stringify(value, null, 2) ?? "";
}

function indentJson(text: string): string {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
