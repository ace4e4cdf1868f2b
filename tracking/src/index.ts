/** The script `/js/tracking.js`: records what happens on the page and delivers it to the collector. */
import { isInstalled } from "./api";
import { nameOf, ownTag, readConfig } from "./config";
import { guard } from "./guard";
import { startTracker } from "./tracker";

guard(() => {
  const config = readConfig(ownTag(), location);
  // The script tag may stand twice on a page; the visit happened once.
  if (!isInstalled(window, nameOf(config.data))) startTracker(config);
})();
