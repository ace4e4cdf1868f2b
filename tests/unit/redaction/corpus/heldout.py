"""Other shapes, another seed: first measured before anything was tuned on them."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote

from phonenumbers import PhoneNumberFormat, format_number

from tests.unit.redaction.corpus import Sample
from tests.unit.redaction.corpus import numbers as n
from tests.unit.redaction.corpus.lookalikes import ALNUM, HEX, milliseconds, moment, some


def _carried(rng: random.Random, label: str, secret: str) -> Sample:
    """Carriers that the main corpus does not know."""
    encoded = quote(secret, safe="")
    lower = encoded.lower() if rng.random() < 0.5 else encoded
    match rng.randrange(13):
        case 0:
            return Sample(label, "XML", {"soap": f"<a><b>{secret}</b></a>"}, (secret,))
        case 1:
            return Sample(label, "CSV", {"row": f"7;{secret};ok;2026-11-21"}, (secret,))
        case 2:
            return Sample(label, "markdown", f"* **Value**: `{secret}`\n* next", (secret,))
        case 3:
            return Sample(label, "pipe table", f"| id | {secret} | x |", (secret,))
        case 4:
            fields = [{"name": "q1", "value": "yes"}, {"name": "q2", "value": secret}]
            return Sample(label, "form fields", {"fields": fields}, (secret,))
        case 5:
            value = {"variables": json.dumps({"input": {"free": [secret]}}, indent=2)}
            return Sample(label, "GraphQL variables", value, (secret,))
        case 6:
            url = f"https://x.example/#!/s/{encoded}?tab=1"
            return Sample(label, "hash route", {"url": url}, (secret, encoded))
        case 7:
            value = json.dumps(json.dumps(json.dumps({"v": secret})))
            return Sample(label, "JSON thrice in a string", {"s": value}, (secret,))
        case 8:
            text = f'{{"events":[{{"eventType":"f","properties":{{"v":"{secret}"}}}},{{"x":'
            return Sample(label, "cut dead letter", text, (secret,), is_text=True)
        case 9:
            text = f"v={lower}&w=1"
            return Sample(label, "dead form body", text, (secret, lower), is_text=True)
        case 10:
            return Sample(label, "matrix", {"m": [[1, 2], [secret, None]]}, (secret,))
        case 11:
            value = {"url": f"android-app://x/?d={quote(json.dumps({'v': secret}), safe='')}"}
            return Sample(label, "JSON in a query", value, (secret, encoded))
        case _:
            return Sample(label, "keyed by value", {secret: {"n": 1}}, (secret,))


def _card(rng: random.Random) -> str:
    number = n.card(rng)[1]
    match rng.randrange(7):
        case 0:
            return number
        case 1:
            return n.grouped_card(number, "\u2009")
        case 2:
            return n.grouped_card(number, "\u2013")
        case 3:
            return n.grouped_card(number, "  ") if len(number) == 16 else number
        case 4:
            return f"{n.grouped_card(number, ' ')} exp 12/29"
        case 5:
            return f"VISA:{number}"
        case _:
            return number.translate({48 + i: 0xFF10 + i for i in range(10)})


def _phone(rng: random.Random) -> str:
    number = n.phone(rng)
    international = format_number(number, PhoneNumberFormat.INTERNATIONAL)
    match rng.randrange(6):
        case 0:
            return international.replace(" ", ".").replace("-", ".")
        case 1:
            return international.replace(" ", "\u00a0")
        case 2:
            return f"Tel. {format_number(number, PhoneNumberFormat.NATIONAL)}"
        case 3:
            return f"phone: {number.national_number}"
        case 4:
            return "\u202a" + international + "\u202c"
        case _:
            return "00" + international[1:]


def _email(rng: random.Random) -> str:
    local = rng.choice(("m.rossi", "d'angelo", "a_b-c", "x+y+z", "i18n", "søren", "q=1", "UPPER"))
    host = rng.choice(("mail.ru", "web.de", "corp.example.museum", "b.co", "ünï.de", "1und1.de"))
    return f"{local}{rng.randrange(99)}@{host}"


def heldout_positives(*, seed: int) -> list[Sample]:
    rng = random.Random(seed)
    samples = []
    for _ in range(150):
        samples.append(_carried(rng, "card", _card(rng)))
        samples.append(_carried(rng, "email", _email(rng)))
        samples.append(_carried(rng, "phone", _phone(rng)))
    for _ in range(60):
        samples.append(_carried(rng, "ssn", n.ssn(rng, rng.choice(("-", "\u2011", "\u00a0")))))
        iban = n.iban(rng)
        iban = rng.choice((iban, n.grouped_iban(iban, "-"), "IBAN" + n.grouped_iban(iban)))
        samples.append(_carried(rng, "iban", iban))
    samples += [_named(rng) for _ in range(150)]
    return samples


_NAMES = (
    "pass_word", "PASSWORD_1", "oldPassword", "passwordAgain", "repeat-password", "wifiPassword",
    "app.secret", "SECRET_KEY", "shared_secret", "oauth_token", "oauthToken", "sso-token",
    "device_token", "captchaToken", "g-recaptcha-token", "jwt", "apiToken", "X-Api-Key",
    "xApiKey", "sessionCookie", "auth_cookie", "JSESSIONID", "cvv_code", "cardCVC", "user.pin",
    "sms_otp", "credit_card_number", "private-key", "ssh_private_key", "passwort", "contraseña",
    "x-amz-security-token", "db_password", "pgpassword", "credential", "data[User][password]",
)  # fmt: skip


def _named(rng: random.Random) -> Sample:
    name = rng.choice(_NAMES)
    secret = n.digits(rng, 4) if "pin" in name or "otp" in name else "k9" + some(rng, ALNUM, 14)
    label = "card" if "card_n" in name else "secret"
    match rng.randrange(8):
        case 0:
            return Sample(label, f"named {name}", {"form": {name: secret}}, (secret,))
        case 1:
            text = f"POST /login {name}={secret} 403"
            return Sample(label, f"log {name}", {"log": text}, (secret,))
        case 2:
            url = f"/a?b=c&amp;{quote(name)}={secret}&amp;d=e"
            return Sample(label, f"HTML address {name}", {"href": url}, (secret,))
        case 3:
            text = f"a=1; {quote(name)}={secret}; theme=dark"
            return Sample(label, f"cookie header {name}", {"h": text}, (secret,))
        case 4:
            text = quote(json.dumps({"x": {name: secret}}, ensure_ascii=False))
            return Sample(label, f"JSON in a query {name}", {"url": f"/x?d={text}"}, (secret,))
        case 5:
            value: Any = {name: {"current": secret, "len": None}}
            return Sample(label, f"object {name}", value, (secret,))
        case 6:
            text = f'{{ "{name}" : "{secret}" , "broken": tru'
            return Sample(label, f"broken JSON {name}", text, (secret,), is_text=True)
        case _:
            fields = [{"key": name, "value": secret}]
            return Sample(label, f"pairs {name}", {"fields": fields}, (secret,))


def heldout_lookalikes(*, seed: int) -> list[Sample]:
    rng = random.Random(seed)
    samples = []
    for shape, make in _LOOKALIKES.items():
        for _ in range(60):
            value = make(rng)
            wrapped = value if isinstance(value, dict) else rng.choice(
                ({"v": value}, {"list": [value]}, {"text": f"see {value} here"},
                 {"url": f"https://x.example/a?v={quote(str(value))}"})
            )  # fmt: skip
            samples.append(Sample("none", shape, wrapped))
    return samples


def _imei(rng: random.Random) -> str:
    body = "35" + n.digits(rng, 12)
    return body + n.luhn_digit(body)


def _iccid(rng: random.Random) -> str:
    body = "8941" + n.digits(rng, 14)
    return body + n.luhn_digit(body)


_LOOKALIKES = {
    "IMEI": _imei,
    "ICCID": _iccid,
    "ORCID": lambda r: f"0000-000{r.randrange(1, 4)}-{n.digits(r, 4)}-{n.digits(r, 3)}X",
    "CAS number": lambda r: f"{r.randrange(50, 99999)}-{n.digits(r, 2)}-{n.digits(r, 1)}",
    "MAC address": lambda r: ":".join(some(r, HEX, 2) for _ in range(6)),
    "bounding box": lambda r: {"rect": {k: r.uniform(0, 2000) for k in ("x", "y", "w", "h")}},
    "image file": lambda r: f"{n.digits(r, 9)}_{n.digits(r, 17)}_{n.digits(r, 19)}_n.jpg",
    "vehicle number": lambda r: "WVWZZZ1KZ" + some(r, ALNUM[26 * 2 :] + "ABC", 8).upper(),
    "DOI": lambda r: f"10.{r.randrange(1000, 9999)}/{some(r, ALNUM.lower(), 9)}",
    "bank code": lambda r: some(r, ALNUM[:26], 6) + "XXX",
    "VAT number": lambda r: r.choice(("GB", "IE", "SE", "PL")) + n.digits(r, 10),
    "seconds and shards": lambda r: f"{milliseconds(r)}-{n.digits(r, 4)}-{n.digits(r, 2)}",
    "date and number": lambda r: f"{moment(r):%y%m%d}-{n.digits(r, 4)}",
    "date range": lambda r: f"{moment(r):%d.%m.%Y} - {moment(r):%d.%m.%Y}",
    "date and time": lambda r: f"{moment(r):%d/%m/%Y %H.%M.%S}",
    "ULID": lambda r: some(r, "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 26),
    "object id": lambda r: some(r, HEX, 24),
    "trace": lambda r: f"00-{some(r, HEX, 32)}-{some(r, HEX, 16)}-01",
    "digest": lambda r: f"sha256:{some(r, HEX, 64)}",
    "video id": lambda r: "7" + n.digits(r, 18),
    "serial": lambda r: f"SN{n.digits(r, 14)}",
    "case number": lambda r: f"{r.randrange(1, 30)} O {r.randrange(1000)}/{r.randrange(10, 27)}",
    "thousands": lambda r: f"{r.randrange(10**9, 10**12):,}".replace(",", r.choice(" '.")),
    "phone-like id": lambda r: {"device": n.digits(r, 10), "shop": int("41" + n.digits(r, 9))},
    "scientific": lambda r: {"v": r.random() * 10 ** r.randrange(-12, 22)},
    "ISO week": lambda r: f"{moment(r):%G-W%V-%u}",
    "polyline": lambda r: some(r, ALNUM + "@_~`", 40).replace("@", "@{"),
    "social id": lambda r: {"page": "1000" + n.digits(r, 11)},
    "weather": lambda r: f"{r.uniform(-9, 35):.1f}°C {r.randrange(970, 1040)} hPa",
    "lottery": lambda r: "-".join(f"{r.randrange(1, 50):02}" for _ in range(6)),
    "score": lambda r: f"{r.randrange(9)}:{r.randrange(9)} ({r.randrange(5)}:{r.randrange(5)})",
    "address": lambda r: f"Bahnhofstrasse {r.randrange(1, 200)}, {r.randrange(1000, 9999)} Zürich",
    "decimal degrees": lambda r: f"{r.uniform(0, 90):.5f}N {r.uniform(0, 180):.5f}E",
    "phone product": lambda r: f"Galaxy S{r.randrange(20, 30)} 5G {r.choice((128, 256))}GB 8/2026",
    "query flags": lambda r: {"url": f"/s?auth=1&token=&pin=false&cb={milliseconds(r)}"},
}


__all__ = ["heldout_lookalikes", "heldout_positives"]
