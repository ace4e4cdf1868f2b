/** Loaded before the tracker, so that it hears the first event too. The panel shows what it heard. */
import { recordTrail } from "./trail";

window.sluiceTrail = recordTrail();
