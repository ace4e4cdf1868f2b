/**
 * Names of events that turn green when one was captured on this tab, and how many of them did.
 *
 * They change within shadow roots: a page that answered each click with a change of its document
 * would have no dead clicks.
 */
const trail = window.sluiceTrail;

class CapturedType extends HTMLElement {
  connectedCallback() {
    const shadow = this.attachShadow({ mode: "open" });
    shadow.innerHTML = '<span part="type"><slot></slot><span></span></span>';
    const [chip, count] = shadow.querySelectorAll("span");
    const show = () => {
      const times = countOf(this.textContent);
      chip.part.toggle("captured", times > 0);
      count.textContent = times ? ` ✓ ${times}` : "";
    };
    trail?.onChange(show);
    show();
  }
}

class CapturedTotal extends HTMLElement {
  connectedCallback() {
    const shadow = this.attachShadow({ mode: "open" });
    const types = [...document.querySelectorAll("captured-type")].map((element) => element.textContent);
    const show = () => {
      shadow.textContent = `${types.filter(countOf).length} of ${types.length} so far.`;
    };
    trail?.onChange(show);
    show();
  }
}

function countOf(eventType) {
  return trail?.steps().filter(({ event }) => event.eventType === eventType).length || 0;
}

customElements.define("captured-type", CapturedType);
customElements.define("captured-total", CapturedTotal);
