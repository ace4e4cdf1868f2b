/** Snowplow's browser tracker for a page that has no bundler of its own. */
import * as snowplow from "@snowplow/browser-tracker";

globalThis.snowplow = snowplow;
