// Bounded repetitions: a hostile text must not be tried from each of its characters to its end.
const EMAIL = /[^\s@<>()"',;:=&?#/]{1,64}(@|%(?:25)?40)[^\s@%<>()"',;:=&?#/]{1,99}\.[^\s\d\W]{2,}/g;
const IBAN = /\b[A-Z]{2}\d\d(?: ?[A-Z\d]{4}){2,}[A-Z\d ]{0,10}/g;
// Cards, phones, social security numbers: digits in one piece or in groups.
const DIGITS = /\+?\d[\d .()/\xa0-]{5,40}\d(?![\d:])/g;
const SECRET =
  /([?&#;](?:[^=&#?;]{0,40}(?:[_.[-]|%5B))?(?:pass(?:word|wd|code|phrase)?|pwd|secret|\w{0,20}token|api_?key|jwt|otp|pin|cvv|card_?n\w+|ssn|iban|\w{0,9}phone|tel|auth|sid|\w{0,9}sess(?:ion)?_?id|sig(?:nature)?)(?:\]|%5D)?=)[^&#;]+/gi;

// The contract's.
export const MAX_URL_CHARS = 8_000;

/**
 * The text without what may tell who somebody is or what they pay with. Whatever looks like it
 * goes: the collector's detectors, which judge closely, see what is left (docs/privacy/redaction.md).
 */
export function redact(text: string): string {
  return text
    .replace(EMAIL, "[redacted:email]")
    .replace(IBAN, "[redacted:iban]")
    .replace(DIGITS, (found) => {
      const digits = found.replace(/\D/g, "").length;
      // A date has eight, an EAN thirteen in one piece.
      return digits < (found[0] === "+" ? 7 : digits === found.length ? 14 : 9) ? found : "[redacted:number]";
    });
}

/** The address without e-mail addresses and without values whose parameter's name says "secret". */
export function cleanUrl(address: string): string {
  return address
    .slice(0, MAX_URL_CHARS)
    .replace(/\/\/[^/@\s]{1,99}@/, "//")
    .replace(SECRET, "$1[redacted:secret]")
    .replace(EMAIL, "[redacted:email]")
    .slice(0, MAX_URL_CHARS);
}
