/** What to send where. */
export interface SluicePluginOptions {
  /** The collector's address: "https://events.shop.example/collect". */
  endpoint: string;
  /** The site events are filed under; the page's host name when absent. A server has to say it. */
  siteId?: string;
  /** Where the collector asks for one. In a browser everybody can read it. */
  writeKey?: string;
  /** Do Not Track and Global Privacy Control: with one set, nothing is stored or sent. Default: true. */
  respectDnt?: boolean;
  /** Hears of each batch that was not taken: `retryInMs` is null where its events are dropped. */
  onFailed?: (failure: SluiceFailure) => void;
}

export interface SluiceFailure {
  eventIds: string[];
  reason: "unavailable" | "refused" | "overflow";
  /** The HTTP status; 0 when no answer came. */
  status: number;
  retryInMs: number | null;
  droppedTotal: number;
}

/** A call as `analytics` hands it to its plugins; what is not read here is left out. */
export interface AnalyticsCall {
  payload: {
    event?: string;
    properties?: { [name: string]: unknown };
    traits?: { [name: string]: unknown };
    userId?: string | null;
    anonymousId?: string | null;
    meta?: { ts?: number };
  };
  instance?: { getState(key: string): unknown };
}

/** For `Analytics({ plugins: [sluicePlugin({ endpoint })] })`. */
export interface SluicePlugin {
  name: "sluice";
  initialize(): void;
  loaded(): boolean;
  ready(): void;
  page(call: AnalyticsCall): void;
  track(call: AnalyticsCall): void;
  identify(call: AnalyticsCall): void;
  reset(): void;
  methods: {
    /** Send now what waits: `analytics.plugins.sluice.flush()`. */
    flush(): void;
  };
  /** `analytics` lets a plugin carry anything. */
  [other: string]: unknown;
}

export function sluicePlugin(options: SluicePluginOptions): SluicePlugin;
export default sluicePlugin;
