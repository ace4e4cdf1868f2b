import assert from "node:assert/strict";
import { test } from "node:test";
import { cleanUrl, redact } from "../src/redact";

test("what tells who somebody is, or what they pay with, goes", () => {
  const cases = {
    "Write to Jane.Doe+x@mail.example.com!": "Write to [redacted:email]!",
    "Call +41 44 668 18 00": "Call [redacted:number]",
    "Call (555) 123-4567 now": "Call ([redacted:number] now",
    "4111 1111 1111 1111": "[redacted:number]",
    "4111111111111111": "[redacted:number]",
    "078-05-1120": "[redacted:number]",
    "CH93 0076 2011 6238 5295 7": "[redacted:iban]",
    DE89370400440532013000: "[redacted:iban]",
  };
  for (const [text, expected] of Object.entries(cases)) {
    assert.equal(redact(text), expected, text);
  }
});

test("prices, dates, versions and article numbers stay", () => {
  for (const text of ["CHF 1'249.90", "2026-11-21", "21.11.2026 10:15", "v1.22.3", "4006381333931", "Order 1234567", "2 x 3 = 6"]) {
    assert.equal(redact(text), text);
  }
});

test("an address loses secrets and e-mail addresses, and keeps its campaign", () => {
  const cases = {
    "https://x.example/a?token=abc&utm_source=n": "https://x.example/a?token=[redacted:secret]&utm_source=n",
    "https://x.example/#access_token=abc&x=1": "https://x.example/#access_token=[redacted:secret]&x=1",
    "https://x.example/?user[password]=p&sid=1": "https://x.example/?user[password]=[redacted:secret]&sid=[redacted:secret]",
    "https://x.example/?to=me%40x.example&gclid=1234567890123456": "https://x.example/?to=[redacted:email]&gclid=1234567890123456",
    "https://x.example/?keyword=a&zipcode=8000&session=3": "https://x.example/?keyword=a&zipcode=8000&session=3",
  };
  for (const [address, expected] of Object.entries(cases)) assert.equal(cleanUrl(address), expected);
});

test("a hostile text costs no more than its length", () => {
  for (const text of ["a@".repeat(50_000), "1 ".repeat(50_000), "A".repeat(100_000), "?" + "a_".repeat(50_000), "x".repeat(100_000) + "@"]) {
    const begun = performance.now();
    redact(text);
    cleanUrl(text);
    const first = performance.now() - begun;
    assert.ok(first < 2_000, `${text.slice(0, 4)}… took ${first} ms`);
  }
});
