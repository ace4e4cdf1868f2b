import { useEffect } from "react";
import { installQueue } from "./queue";

export interface SluiceTrackerProps {
  /** The script's address: "https://events.shop.example/js/tracking.js". */
  src: string;
  /** The site events are filed under; the page's host name when absent. */
  siteId?: string;
  /** Where batches go; the script's origin + "/collect" when absent. */
  endpoint?: string;
  /** `false` ignores Do Not Track and Global Privacy Control. */
  respectDnt?: boolean;
  /** Whose answer is waited for: that of `sluice("consent", …)`, of IAB TCF, of Google's Consent Mode. */
  consent?: "pending" | "tcf" | "gcm";
  /** Names of plugins: ["vitals", "errors"]. */
  plugins?: readonly string[];
  /** Any other `data-<name>` of the script tag, in camel case: { flushSeconds: 10 }. */
  options?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Loads the tracker once, wherever it stands, and however often it is mounted. It renders nothing,
 * and it counts nothing: views of a single-page application are recorded by the tracker itself.
 */
export function SluiceTracker(props: SluiceTrackerProps): null {
  useEffect(() => {
    installQueue();
    if (document.querySelector("script[data-sluice-tracker]")) return;
    const script = document.createElement("script");
    script.src = props.src;
    script.async = true;
    for (const [name, value] of Object.entries(scriptAttributes(props))) script.setAttribute(name, value);
    document.head.appendChild(script);
    // It stays when this is unmounted: a script that has run cannot be taken back.
    // The attributes are read once, so what changes later has no effect.
  }, []);
  return null;
}

/** The tag's attributes but for `src` and `async`. */
export function scriptAttributes(props: SluiceTrackerProps): Record<string, string> {
  const { siteId, endpoint, respectDnt, consent, plugins, options } = props;
  const data = { siteId, endpoint, respectDnt, consent, plugins: plugins?.join(" ") || undefined, ...options };
  const attributes: Record<string, string> = { "data-sluice-tracker": "" };
  for (const [name, value] of Object.entries(data)) {
    if (value !== undefined) attributes[attributeOf(name)] = String(value);
  }
  return attributes;
}

function attributeOf(name: string): string {
  return "data-" + name.replace(/[A-Z]/g, (letter) => "-" + letter.toLowerCase());
}
