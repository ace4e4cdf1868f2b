/** Loaded before the tracker, so that it hears the first event too. The panel shows what it heard. */
import { wasOpen } from "./open";
import { recordTrail } from "./trail";

window.sluiceTrail = recordTrail();
// Its room is made before the first paint: a page that moves aside later is a poor CLS.
document.documentElement.classList.toggle("sl-open", wasOpen());
