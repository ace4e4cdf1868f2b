/**
 * Names of events that turn green when one was captured on this tab, and how many of them did.
 *
 * They change within shadow roots: a page that answered each click with a change of its document
 * would have no dead clicks.
 */
const trail = window.sluiceTrail;
let counts = new Map();
let isCountDue = false;

class CapturedType extends HTMLElement {
  connectedCallback() {
    const shadow = this.attachShadow({ mode: "open" });
    shadow.innerHTML = '<span part="type"><slot></slot><span></span></span>';
    [this.chip, this.count] = shadow.querySelectorAll("span");
    this.show();
  }

  show() {
    const times = counts.get(this.textContent);
    const text = times ? ` ✓ ${times}` : "";
    if (this.count.textContent === text) return;
    this.count.textContent = text;
    this.chip.part.toggle("captured", !!times);
  }
}

class CapturedTotal extends HTMLElement {
  connectedCallback() {
    this.attachShadow({ mode: "open" });
    this.show();
  }

  show() {
    const types = [...document.querySelectorAll("captured-type")].map((element) => element.textContent);
    this.shadowRoot.textContent = `${types.filter((type) => counts.has(type)).length} of ${types.length} so far.`;
  }
}

function count() {
  isCountDue = false;
  counts = new Map();
  for (const { event } of trail.steps()) counts.set(event.eventType, (counts.get(event.eventType) || 0) + 1);
  document.querySelectorAll("captured-type, captured-total").forEach((element) => element.show());
}

customElements.define("captured-type", CapturedType);
customElements.define("captured-total", CapturedTotal);
if (trail) {
  count();
  trail.onChange(() => {
    // Once a task, however many events came in it.
    if (!isCountDue) setTimeout(count);
    isCountDue = true;
  });
}
