// Bounded repetitions: a hostile text must not be tried from each of its characters to its end.
// No lookbehind: Safari before 16.4 would refuse the whole script. No address begins in logo@2x.png.
const EMAIL = /[^\s@<>()"',;:=&?#/]{1,64}(@(?!\dx\.)|%(25)?40)[^\s@%<>()"',;:=&?#/]{1,99}\.[^\s\d\W]{2,}/g;
const IBAN = /\b[A-Z]{2}\d\d([ \xa0]?[A-Z\d]{4}){2,7}[ \xa0]?[A-Z\d]{1,4}\b/g;
// In one piece or in an issuer's groups: neither a run of other numbers nor of years must pass for one.
const CARD = /\b(?!20)[2-6]\d{3}(?:([ .\xa0-]?)\d{4}\1\d{4}\1\d{3,7}|([ .\xa0-]?)\d{6}\2\d{4,5})(?!\d)/g;
const SSN = /\b(?!000|666|9)\d{3}([ -])(?!00)\d\d\1(?!0000)\d{4}(?!\d)/g;
// With a country's code, or written as only phone numbers are: (415) 555-2671, 044 668 18 00,
// 0171/1234567, (11) 96123-4567.
const PHONE =
  /(^|[^\w.-])(?:(?:\+\d{1,3}|00[1-9]\d{0,2}[ -])(?:[ ()/\xa0-]{0,2}\d){7,12}|(?:1[ .-])?\(?[2-9]\d\d(?:\) ?|[.-])[2-9]\d\d[.-]\d{4}|0(?=(?:[ .-]?\d){8})(?!\d[ .-]\d\d[ .-](?:19|20)\d\d)[1-9]\d{0,3}([ .-])\d{2,4}(?:\2\d{2,4}){1,3}|0[1-9]\d{1,3}[ /]\d{6,8}|\((?:0\d{1,4}|\d\d)\) ?\d{4,5}[ -]?\d{2,4})(?![.-]?\d)/g;
// An OAuth code or a ticket signs somebody in: 20 characters and more, a digit among them. A voucher's code
// is shorter, and the long name of a product has none.
const SECRET =
  /([?&#;]([^=&#?;]{0,40}([_.[-]|%5B))?(pass(code|[wp]\w*)?|pwd|secret|api_?key|\w{0,40}(credential|token|phone|sess(ion[\w-]*|_?u?)(id|key)|(code|ticket)(?==[^&#;]{20})(?=(%..|[^\d%&#;]){0,99}\d))|jwt|otp|pin|cvv|card_?n\w+|ssn|iban|tel|auth|sid|sig|signature)(\]|%5D)?=)[^&#;]+/gi;

// The contract's.
export const MAX_URL_CHARS = 8_000;

/**
 * The text without what may tell who somebody is or what they pay with, as far as little code can
 * be sure of it: the collector looks again, more closely (docs/privacy/redaction.md).
 */
export function redact(text: string): string {
  // Most texts have nothing of the kind, and a process's first use of each pattern takes its time.
  if (!/[@%\d]/.test(text)) return text;
  return text
    .replace(EMAIL, "[redacted:email]")
    .replace(IBAN, "[redacted:iban]")
    .replace(CARD, (found) => (isCard(found.replace(/\D/g, "")) ? "[redacted:card]" : found))
    .replace(SSN, "[redacted:ssn]")
    .replace(PHONE, "$1[redacted:phone]");
}

/** Whether the check digit is right (ISO/IEC 7812-1). */
function isCard(digits: string): boolean {
  // Every other digit from the right is doubled, and its own digits added.
  const sum = [...digits].reverse().reduce((sum, digit, at) => sum + +(at % 2 ? "0246813579"[+digit]! : digit), 0);
  return !(sum % 10);
}

/** The address without e-mail addresses and without values whose parameter's name says "secret". */
export function cleanUrl(address: string): string {
  // `document.referrer` is an element where one is called so.
  address = address.slice?.(0, MAX_URL_CHARS);
  if (!/[@%=]/.test(address)) return address;
  return address
    .replace(/\/\/[^/@\s]{1,99}@/, "//")
    .replace(SECRET, "$1[redacted:secret]")
    .replace(EMAIL, "[redacted:email]")
    .slice(0, MAX_URL_CHARS);
}

/** The same of where a link or a form leads; of other kinds (mailto, tel, data, …) nothing but the kind. */
export function cleanHref(address: string): string {
  return /^\s*((?!https?:)[a-z][\w+.-]*:)/i.exec(address)?.[1] || cleanUrl(address);
}
