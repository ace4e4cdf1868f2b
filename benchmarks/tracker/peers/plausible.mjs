/** As the package's page says: `init`, then `track`. The last setting is for a page on localhost. */
import { init, track } from "@plausible-analytics/tracker";

init({ domain: "shop.example", endpoint: location.origin + "/api/event", captureOnLocalhost: true });
globalThis.record = (name, props) => track(name, { props });
