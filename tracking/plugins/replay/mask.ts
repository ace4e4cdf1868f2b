/**
 * What rrweb does not mask of itself: attributes that hold text, choices that a visitor made, and
 * parameters of addresses. Works on the recorded events, in place, with no recursion: a page may be
 * nested deeper than the stack.
 */

/** As far as it is looked into: a node of a snapshot, a mutation, an interaction. */
interface Recorded {
  [name: string]: any;
}

const TEXTS = /^(title|alt|placeholder|label|value|content|summary|abbr|srcdoc|aria-.*|data-.*)$/;
const CHOICES = /^(checked|selected|rr_checked)$/;
const ADDRESSES = /^(href|src|action|formaction|poster|xlink:href)$/;
const INPUT = 5;

export interface Masking {
  /** Leave the page's text alone; what a visitor typed or chose is masked all the same. */
  textShown: boolean;
  cleanUrl(address: string): string;
}

/** As long as it was, so that the page keeps its layout; spaces stay. */
export function maskText(text: string): string {
  return text.replace(/\S/g, "*");
}

/** Not even its length is told. */
export function maskInput(text: string): string {
  return text ? "****" : "";
}

export function maskEvent(event: Recorded, masking: Masking): void {
  const waiting: Recorded[] = [event];
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    if (node.source === INPUT) {
      node.text = maskInput(node.text);
      node.isChecked = false;
    }
    for (const name in node) {
      const value = node[name];
      if (name === "attributes" && value && !Array.isArray(value)) maskAttributes(value, masking, node.tagName);
      else if (name === "href" && typeof value === "string") node[name] = masking.cleanUrl(value);
      else if (value && typeof value === "object") waiting.push(value);
    }
  }
}

function maskAttributes(attributes: Recorded, masking: Masking, tag: string | undefined): void {
  for (const name in attributes) {
    const value = attributes[name];
    if (CHOICES.test(name)) delete attributes[name];
    else if (typeof value !== "string") continue;
    // The value of a progress bar is a measure that the page shows, not one that was typed.
    else if (name === "value" && tag !== "progress" && tag !== "meter") attributes[name] = maskInput(value);
    else if (!masking.textShown && TEXTS.test(name) && attributes.name !== "viewport")
      attributes[name] = maskText(value);
    else if (ADDRESSES.test(name) && /^https?:/.test(value)) attributes[name] = masking.cleanUrl(value);
  }
}
