import type { Plugin } from "../src/plugin";

const MAX_FIELDS = 100;
const MAX_NAME_CHARS = 100;
const NOT_A_FIELD = /^(hidden|submit|button|reset|image)$/;
// Not even named: what kind of secret somebody hesitated over is nobody's business either. By name
// too, because a password that is shown is a text field, and autocomplete is often off.
const SECRET = /passw|passcode|pwd|cc-|card|cvv|cvc|csc|iban|one-time|otp|\bpin\b|ssn/i;

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

interface Field {
  name: string;
  order: number;
  focusMs: number;
  changes: number;
  wasFilled: boolean;
}

interface Journey {
  form: string;
  formUrl: string;
  startedAt: number;
  lastField: string;
  fields: Field[];
  isUntold: boolean;
}

/** The way through a form: which fields, in which order, how long, and where it ended; never a value. */
const forms: Plugin = (sluice, host) => {
  const journeys = new Map<HTMLFormElement, Journey>();
  let focused: { control: Control; field: Field; since: number } | undefined;

  function nameOf(element: Element, attributes: string): string {
    // Attributes: a field called "id" would stand in the place of the form's property.
    const name = attributes.split(" ").map((attribute) => element.getAttribute(attribute)).find(Boolean);
    return host.redact(name || host.selector(element)).slice(0, MAX_NAME_CHARS);
  }

  /** The field, on its form's journey, which begins here if it has not. */
  function visit(control: Control): Field | undefined {
    const { form, type } = control;
    const says = ["autocomplete", "name", "id", "aria-label"].map((attribute) => control.getAttribute(attribute));
    const isTold = form && /^(input|select|textarea)$/.test(control.localName) && !NOT_A_FIELD.test(type);
    if (!isTold || SECRET.test([type, ...says].join(" ")) || host.isIgnored(control)) return undefined;

    const isMasked = control.closest("[data-sluice-mask]");
    const name = nameOf(control, isMasked ? "name id" : "name id aria-label");
    let journey = journeys.get(form);
    if (!journey) {
      journey = {
        form: nameOf(form, "id name"),
        formUrl: host.cleanUrl(location.href),
        startedAt: performance.now(),
        lastField: name,
        fields: [],
        isUntold: true,
      };
      journeys.set(form, journey);
      sluice.track("form_start", { form: journey.form, field: name });
    }
    const { fields } = journey;
    let field = fields.find((one) => one.name === name);
    if (!field && fields.length < MAX_FIELDS) {
      field = { name, order: fields.length + 1, focusMs: 0, changes: 0, wasFilled: false };
      fields.push(field);
    }
    journey.lastField = name;
    journey.isUntold = true;
    return field;
  }

  function leaveField(): void {
    if (!focused) return;
    const { control, field, since } = focused;
    field.focusMs += performance.now() - since;
    field.wasFilled = isFilled(control, field);
    focused = undefined;
  }

  function tell(type: string, journey: Journey): void {
    const { form, formUrl, lastField, startedAt } = journey;
    const fields = journey.fields.map((field) => ({ ...field, focusMs: Math.round(field.focusMs) }));
    const elapsedMs = Math.round(performance.now() - startedAt);
    sluice.track(type, { form, formUrl, lastField, fields, elapsedMs });
    journey.isUntold = false;
  }

  function tellAbandoned(isLeft: (form: HTMLFormElement) => boolean): void {
    journeys.forEach((journey, form) => {
      if (!isLeft(form)) return;
      if (journey.isUntold) tell("form_abandon", journey);
      if (!form.isConnected) journeys.delete(form);
    });
  }

  // The composed path sees into open shadow roots, where `target` stops at the host.
  host.listen(document, "focusin", (event) => {
    leaveField();
    const control = event.composedPath()[0];
    const field = visit(control);
    if (field) focused = { control, field, since: performance.now() };
  });
  host.listen(document, "focusout", leaveField);
  host.listen(document, "change", (event) => {
    const control = event.composedPath()[0];
    const field = visit(control);
    if (!field) return;
    field.changes++;
    field.wasFilled = isFilled(control, field);
  });
  host.listen(document, "submit", ({ target: form }) => {
    leaveField();
    const journey = journeys.get(form);
    if (!journey) return;
    journeys.delete(form);
    tell("form_complete", journey);
  });
  // Hidden is the last moment that a phone promises; who returns and goes on is told once more.
  host.onHide(() => {
    leaveField();
    tellAbandoned(() => true);
  });
  // The view before may still stand there: it goes when the framework has drawn the next.
  host.onView(() => host.whenIdle(() => tellAbandoned((form) => !form.isConnected)));
};

export default forms;

/** Whether something is in it, and that is all that is ever asked. */
function isFilled(control: Control, field: Field): boolean {
  const { type } = control;
  if (type === "radio") return field.wasFilled || (control as HTMLInputElement).checked;
  return type === "checkbox" ? (control as HTMLInputElement).checked : !!control.value;
}
