// Bounded repetitions: a hostile text must not be tried from each of its characters to its end.
const EMAIL = /[^\s@<>()"',;:=&?#/]{1,64}(@|%(?:25)?40)[^\s@%<>()"',;:=&?#/]{1,99}\.[^\s\d\W]{2,}/g;
const IBAN = /\b[A-Z]{2}\d\d(?:[ \xa0]?[A-Z\d]{4}){3,7}(?:[ \xa0]?[A-Z\d]{1,3})?\b/g;
// Digits in one piece or in groups.
const DIGITS = /[+(]*\d[\d .()/\xa0-]{5,40}\d(?![\d:])/g;
const SSN = /^\(*(?!000|666|9)\d{3}([ -])\d\d\1\d{4}$/;
// With a country's code, or written as only phone numbers are: (415) 555-2671, 044 668 18 00, 0171/1234567.
const PHONE = /^\(*(\+\d+[ (-]|\+\d{9}|00[1-9]\d[ -]|\d{3}(\) ?|[.-])\d{3}[.-]\d{4}$|0\d{1,3}( \d{2,3}){2,4}$|0\d{2,4}\/\d{5})/;
const SECRET =
  /([?&#;](?:[^=&#?;]{0,40}(?:[_.[-]|%5B))?(?:pass(?:word|wd|code|phrase)?|pwd|secret|\w{0,20}token|api_?key|jwt|otp|pin|cvv|card_?n\w+|ssn|iban|\w{0,9}phone|tel|auth|sid|\w{0,9}sess(?:ion)?_?id|sig(?:nature)?)(?:\]|%5D)?=)[^&#;]+/gi;

// The contract's.
export const MAX_URL_CHARS = 8_000;

/**
 * The text without what may tell who somebody is or what they pay with, as far as little code can
 * be sure of it: the collector looks again, more closely (docs/privacy/redaction.md).
 */
export function redact(text: string): string {
  return text
    .replace(EMAIL, "[redacted:email]")
    .replace(IBAN, "[redacted:iban]")
    .replace(DIGITS, (found) => {
      const kind = isCard(found.replace(/\D/g, "")) ? "card" : SSN.test(found) ? "ssn" : PHONE.test(found) && "phone";
      return kind ? `[redacted:${kind}]` : found;
    });
}

/** A payment card's length, first digit and check digit (ISO/IEC 7812-1). */
function isCard(digits: string): boolean {
  // Every other digit from the right is doubled, and its own digits added.
  const sum = [...digits].reverse().reduce((sum, digit, at) => sum + +(at % 2 ? "0246813579"[+digit]! : digit), 0);
  return /^[2-6]\d{13,18}$/.test(digits) && sum % 10 === 0;
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
