/** As its documentation says; what it would ask of hosts of its vendor's is left out by its own setting. */
import { init, track } from "@amplitude/analytics-browser";

init("key-of-the-shop", {
  serverUrl: location.origin + "/2/httpapi",
  remoteConfig: { fetchRemoteConfig: false },
});
globalThis.record = (name, props) => track(name, props);
