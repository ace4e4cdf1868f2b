/** As its documentation says, with the defaults of the day it names. */
import posthog from "posthog-js";

posthog.init("phc_key-of-the-shop", { api_host: location.origin, defaults: "2025-05-24" });
globalThis.record = (name, props) => posthog.capture(name, props);
