import { isIgnored, selectorOf } from "./element";
import { listen } from "./guard";
import { cleanHref, cleanUrl } from "./redact";

/** Record that a form is submitted: which one, and how many fields it has; never what is in them. */
export function watchForms(record: (properties: { [name: string]: unknown }) => void): void {
  listen(document, "submit", ({ target: form }: { target: HTMLFormElement }) => {
    // Attributes: a field called "action" or "name" would stand in the property's place.
    const attribute = (name: string) => cleanUrl(form.getAttribute(name) || "") || undefined;
    if (!isIgnored(form)) {
      record({
        selector: selectorOf(form),
        form: attribute("id") || attribute("name"),
        action: cleanHref(attribute("action") || ""),
        method: attribute("method"),
        fields: form.querySelectorAll("input,select,textarea,button").length,
      });
    }
  });
}
