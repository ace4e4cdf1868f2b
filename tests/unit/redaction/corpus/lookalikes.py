"""What must be left alone: numbers, ids and names that resemble what redaction looks for."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.redaction.corpus import Sample
from tests.unit.redaction.corpus.numbers import digits, luhn_digit

Maker = Callable[[random.Random], Any]

HEX = "0123456789abcdef"
ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_START = datetime(2026, 11, 21, 10, 15, 30, tzinfo=UTC)


def lookalikes(*, seed: int) -> list[Sample]:
    rng = random.Random(seed)
    return list(_many(rng, _NUMBERS, 45)) + list(_many(rng, _TEXTS, 40)) + list(_names(rng))


def _many(rng: random.Random, makers: dict[str, Maker], count: int) -> Iterator[Sample]:
    for shape, make in makers.items():
        for _ in range(count):
            value = make(rng)
            yield Sample("none", shape, value if isinstance(value, dict) else {"value": value})


def some(rng: random.Random, alphabet: str, count: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(count))


def moment(rng: random.Random) -> datetime:
    return _START + timedelta(milliseconds=rng.randrange(10**10))


def milliseconds(rng: random.Random) -> int:
    return int(moment(rng).timestamp() * 1000)


def luhn_milliseconds(rng: random.Random) -> int:
    """An epoch time that passes the check of cards, as one in ten does."""
    body = str(milliseconds(rng))[:-1]
    return int(body + luhn_digit(body))


def numeric_uuid(rng: random.Random) -> str:
    """A UUID in which no digit happens to be a letter."""
    d = digits(rng, 32)
    return f"{d[:8]}-{d[8:12]}-4{d[13:16]}-8{d[17:20]}-{d[20:]}"


def uuid7(rng: random.Random) -> str:
    value = milliseconds(rng) << 80 | rng.getrandbits(80)
    return str(uuid.UUID(int=value & ~(0xF << 76) | 0x7 << 76))


def ean13(
    rng: random.Random, prefixes: tuple[str, ...] = ("40", "41", "45", "49", "54", "76")
) -> str:
    body = (rng.choice(prefixes) + digits(rng, 12))[:12]
    total = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(body))
    return body + str(-total % 10)


def isbn13(rng: random.Random) -> str:
    number = ean13(rng, ("978", "979"))
    return f"{number[:3]}-{number[3]}-{number[4:7]}-{number[7:12]}-{number[12]}"


def spread(rng: random.Random, make: Callable[[random.Random], Any]) -> Any:
    """The number as such, as text, in an address, or in a sentence."""
    value = make(rng)
    match rng.randrange(5):
        case 0:
            return str(value)
        case 1:
            return {"url": f"https://shop.example/x?v={value}&utm_medium=email"}
        case 2:
            return {"title": f"Item {value} - Shop"}
        case 3:
            return {"a": [{"b": str(value)}]}
        case _:
            return value


_NUMBERS: dict[str, Maker] = {
    "epoch ms": lambda rng: spread(rng, milliseconds),
    "epoch ms passing Luhn": lambda rng: spread(rng, luhn_milliseconds),
    "epoch s": lambda rng: spread(rng, lambda r: milliseconds(r) // 1000),
    "epoch us": lambda rng: spread(rng, lambda r: milliseconds(r) * 1000 + r.randrange(1000)),
    "epoch ns": lambda rng: spread(rng, lambda r: milliseconds(r) * 10**6 + r.randrange(10**6)),
    "UUID": lambda rng: spread(rng, lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4))),
    "UUIDv7": lambda rng: spread(rng, uuid7),
    "UUID of digits only": lambda rng: spread(rng, numeric_uuid),
    "UUID without dashes": lambda rng: spread(rng, lambda r: some(r, HEX, 32)),
    "16 hex": lambda rng: spread(rng, lambda r: some(r, HEX, 15) + r.choice("abcdef")),
    "SHA-1": lambda rng: spread(rng, lambda r: hashlib.sha1(r.randbytes(8)).hexdigest()),
    "SHA-256": lambda rng: spread(rng, lambda r: hashlib.sha256(r.randbytes(8)).hexdigest()),
    "order number": lambda rng: spread(rng, lambda r: 10**7 + r.randrange(9 * 10**9)),
    "order number with prefix": lambda rng: spread(
        rng, lambda r: r.choice(("ORD-", "SO", "#", "B2C-", "R")) + digits(r, r.randrange(6, 17))
    ),
    "order number with date": lambda rng: spread(
        rng, lambda r: f"{moment(r):%Y%m%d}-{digits(r, 6)}"
    ),
    "order number in groups": lambda rng: spread(
        rng, lambda r: f"{digits(r, 3)}-{digits(r, 7)}-{digits(r, 7)}"
    ),
    "order number of 13 digits": lambda rng: {"order_id": int("5" + digits(rng, 12))},
    # One in 43 of these is a card's number for whoever looks at it.
    "order number of 16 digits": lambda rng: spread(rng, lambda r: digits(r, 16)),
    "invoice number": lambda rng: spread(rng, lambda r: f"INV-{moment(r):%Y}-{digits(r, 5)}"),
    "EAN-13": lambda rng: spread(rng, ean13),
    "EAN-13 named": lambda rng: {rng.choice(("ean", "gtin", "sku", "barcode")): ean13(rng)},
    "UPC-A": lambda rng: spread(rng, lambda r: digits(r, 12)),
    "ISBN-13 with dashes": lambda rng: spread(rng, isbn13),
    "GTIN-14": lambda rng: spread(rng, lambda r: "1" + ean13(r)),
    "coordinates": lambda rng: {
        "lat": rng.uniform(-90, 90),
        "lng": rng.uniform(-180, 180),
        "text": f"{rng.uniform(-90, 90):.6f},{rng.uniform(-180, 180):.6f}",
    },
    "coordinates in prose": lambda rng: (
        f"{rng.uniform(-90, 90):+.7f} {rng.uniform(-180, 180):+.7f}"
    ),
    "random fraction": lambda rng: spread(rng, lambda r: r.random()),
    "price": lambda rng: {
        "price": round(rng.uniform(1, 99999), 2),
        "text": rng.choice(("CHF 1'299.90", "1.299,00 €", "$12,345,678.90", "1 234 567,89 zł",
                            "¥128,000", "₹1,23,456.78", "12 345 678 901 kr")),
    },
    "revenue": lambda rng: spread(rng, lambda r: r.randrange(10**6, 10**11) / 100),
    "tracking number UPS": lambda rng: spread(rng, lambda r: "1Z" + some(r, ALNUM.upper(), 16)),
    "tracking number of 12 digits": lambda rng: spread(rng, lambda r: "7" + digits(r, 11)),
    "tracking number of 22 digits": lambda rng: spread(
        rng,
        lambda r: " ".join(("9400", digits(r, 4), digits(r, 4), digits(r, 4), digits(r, 4), "12")),
    ),
    "tracking number of 20 digits": lambda rng: spread(rng, lambda r: "0034" + digits(r, 16)),
    "snowflake": lambda rng: spread(rng, lambda r: r.randrange(10**17, 2 * 10**18)),
    "advertiser's id": lambda rng: spread(rng, lambda r: "120" + digits(r, 15)),
    "analytics client id": lambda rng: spread(
        rng, lambda r: f"GA1.1.{digits(r, 10)}.{milliseconds(r) // 1000}"
    ),
    "browser id cookie": lambda rng: spread(
        rng, lambda r: f"fb.1.{milliseconds(r)}.{digits(r, 10)}"
    ),
    "digits without a name": lambda rng: spread(rng, lambda r: digits(r, r.randrange(7, 12))),
    "ISO time": lambda rng: spread(
        rng,
        lambda r: r.choice(("{:%Y-%m-%dT%H:%M:%S.123Z}", "{:%Y-%m-%d %H:%M:%S}",
                            "{:%Y-%m-%dT%H:%M:%S+0100}", "{:%d.%m.%Y %H:%M}", "{:%m/%d/%Y %H:%M}",
                            "{:%Y%m%d%H%M%S}", "{:%d-%m-%Y-%H-%M-%S}")).format(moment(r)),
    ),
    "version": lambda rng: spread(
        rng, lambda r: ".".join(str(r.randrange(200)) for _ in range(r.randrange(3, 6)))
    ),
    "IPv4 without a name": lambda rng: {
        "host": ".".join(str(rng.randrange(256)) for _ in range(4))
    },
    "card-shaped, wrong check digit": lambda rng: _wrong_card(rng),
    "SSN-shaped, never issued": lambda rng: spread(
        rng, lambda r: f"{r.choice(('000', '666', '9' + digits(r, 2)))}-{digits(r, 2)}-1234"
    ),
    "IBAN-shaped, wrong check digits": lambda rng: spread(
        rng, lambda r: f"DE00{digits(r, 18)}"
    ),
    "employer's number": lambda rng: spread(rng, lambda r: f"{digits(r, 2)}-{digits(r, 7)}"),
    "VAT number": lambda rng: spread(
        rng,
        lambda r: r.choice((f"DE{digits(r, 9)}", f"ATU{digits(r, 8)}", f"FR12{digits(r, 9)}",
                            f"CHE-{digits(r, 3)}.{digits(r, 3)}.{digits(r, 3)} MWST")),
    ),
    "page position": lambda rng: {
        "x": rng.randrange(2000), "y": rng.uniform(0, 20000), "t": rng.random() * 1e6,
        "path": [rng.randrange(2000) for _ in range(12)],
    },
}  # fmt: skip


def _wrong_card(rng: random.Random) -> Any:
    body = rng.choice(("4", "51", "37", "6011")) + digits(rng, 14)
    body = body[: 14 if body.startswith("37") else 15]
    number = body + str((int(luhn_digit(body)) + rng.randrange(1, 10)) % 10)
    groups = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
    return rng.choice((number, int(number), groups, {"url": f"/x?n={groups.replace(' ', '%20')}"}))


# ruff: noqa: E501  # as browsers write them
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{0}.0.{1}.{2} Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.{2} Safari/605.1.15",
    "Mozilla/5.0 (Linux; Android 9; SM-G960F Build/PPR1.180610.011; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/{0}.0.{1}.{2} Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/{0}.0.0.36.{2};IABMV/1;]",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 13_3_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram {0}.0.0.21.{2} (iPhone12,1; iOS 13_3_1; en_US; en-US; scale=2.00; 828x1792; 188362626)",
    "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/UD1A.{1}.0{2})",
    "okhttp/4.{0}.{2}",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
)  # fmt: skip


def _agent(rng: random.Random) -> Any:
    text = rng.choice(_AGENTS).format(
        rng.randrange(90, 150), rng.randrange(1000, 7000), rng.randrange(10, 200)
    )
    return {"userAgent": text}


def _from(*choices: Any) -> Maker:
    return lambda rng: rng.choice(choices)


_TEXTS: dict[str, Maker] = {
    "user agent": _agent,
    "selector": _from(
        "main > div.card:nth-child(3) > a", "#password-field label", "input[name=password]",
        "div.token:nth-child(4) > span", "ul.tel-list > li:nth-child(12)", ".icon\\@2x",
        "form#login > input[type=\"password\"]", "a[href^='tel:']", "button.pin:hover",
        "[data-id='1795256130123']", "svg > path:nth-of-type(44)", "td:nth-child(4111)",
    ),
    "image name": lambda rng: rng.choice(
        ("icon@2x.png", "/img/logo@3x.webp", "sprite@1.5x.jpg", "bg-hero@2x.avif?v=12",
         "https://cdn.example/a/photo_1024x768@2x.jpeg", "btn@2x.min.css", "retina@2x.svg")
    ),
    "package version": lambda rng: rng.choice(
        ("https://unpkg.com/react@18.2.0/umd/react.production.min.js", "lodash@4.17.21",
         "https://cdn.jsdelivr.net/npm/@scope/pkg@1.2.3/dist/index.js", "vue@next",
         "https://esm.sh/preact@10.19.2?dev", "pkg@1.2.3-beta.4", "typescript@5.4.0-dev.20240101",
         "https://cdn.jsdelivr.net/npm/jquery@3/dist/jquery.slim.min.js", "left-pad@^1.3.0")
    ),
    "handle": lambda rng: rng.choice(
        ("@example", "https://medium.com/@some.writer/a-title-1a2b3c", "follow @shop_example!",
         "https://www.youtube.com/@channel.name/videos", "https://www.tiktok.com/@user.name/video/7"
         + digits(rng, 18), "cc @team", "@media (min-width: 600px)", "@import url(x.css)",
         "https://threads.net/@a.b", "{\"@type\":\"Product\",\"@context\":\"https://schema.org\"}")
    ),
    "map address": lambda rng: (
        f"https://www.google.com/maps/@{rng.uniform(-90, 90):.7f},{rng.uniform(-180, 180):.7f},15z"
    ),
    "not quite an address": _from(
        "a@b", "user@localhost", "@ example.com", "me@", "5 @ 3.50", "10:30@room", "x @ y.com",
        "foo@bar@baz", "price@100.00", "root@web-01", "git@github.com:org/repo.git", "12@N00",
    ),
    "campaign": lambda rng: {
        "url": "https://shop.example/?utm_source=newsletter&utm_medium=email&utm_campaign="
        f"tel-token-{digits(rng, 4)}&gclid=EAIaIQobChMI{some(rng, ALNUM, 40)}_D_BwE",
        "utmMedium": "email",
    },
    "click id": lambda rng: {
        rng.choice(("gclid", "fbclid", "msclkid", "ttclid", "click_id")): some(
            rng, ALNUM + "-_", rng.randrange(24, 90)
        )
    },
    "base64": lambda rng: base64.b64encode(rng.randbytes(rng.randrange(20, 80))).decode(),
    "base64 in address": lambda rng: {
        "url": "https://x.example/r?d=" + base64.urlsafe_b64encode(rng.randbytes(48)).decode()
    },
    "data address": lambda rng: "data:image/png;base64," + base64.b64encode(
        rng.randbytes(60)
    ).decode(),
    "time zone": _from("Europe/Zurich", "America/Argentina/Buenos_Aires", "UTC+05:30", "GMT+0100"),
    "time span": _from("09:00-17:00", "Mo-Fr 08.00 - 12.00, 13.30 - 18.30", "1h 30m", "00:04:11.1"),
    "size": lambda rng: f"{rng.randrange(300, 3000)}x{rng.randrange(300, 3000)}",
    "list of numbers": lambda rng: rng.choice((" ", ",", ", ", "|")).join(
        str(rng.randrange(1, 3000)) for _ in range(rng.randrange(3, 12))
    ),
    "SVG path": lambda rng: "M" + " ".join(
        f"{rng.uniform(0, 500):.3f} {rng.uniform(0, 500):.3f}" for _ in range(6)
    ) + "z",
    "CSS": _from(
        "transform: translate3d(0px, -1234.5678px, 0px)", "color:#411111;margin:-4px 0 16px 24px",
        "matrix(1, 0, 0, 1, 4111, 1111)", "grid-template: 1fr 2fr / 100px 200px 300px",
    ),
    "stack trace": lambda rng: (
        f"TypeError: x is null\n    at a (https://x.example/app.{some(rng, HEX, 8)}.js:1:"
        f"{rng.randrange(10**6)})\n    at b (app.js:{rng.randrange(5000)}:{rng.randrange(200)})"
    ),
    "prose about secrets": _from(
        "Forgot your password?", "Reset password", "Token: a board game", "Secret garden",
        "Enter the PIN we sent you", "Password must be 8 characters", "the author's cookie recipe",
        "Auth: required", "Cookie settings", "password = ?", "pin it on the board: now",
        "API key management", "Passwords & keys", "Your card number is safe with us",
    ),
    "phone words without a number": _from(
        "Call us today", "tel.", "Phone: see website", "mobile 5G 2026", "iPhone 15 Pro 256 GB",
        "Telefon: Mo-Fr 8-18 Uhr", "fax 2 pages", "Mobile: 390x844", "Tel Aviv 2026",
    ),
    "JSON in a string": lambda rng: json.dumps(
        {"t": milliseconds(rng), "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
         "k": [1, 2.5, None], "text": "ok"}
    ),
    "address with numbers": lambda rng: {
        "url": f"https://shop.example/c/{rng.randrange(10**6)}/p-{digits(rng, 8)}.html"
        f"?variant={digits(rng, 14).replace('4', '7').replace('3', '7').replace('5', '7')}"
        f"&_t={milliseconds(rng)}&pos={rng.randrange(99)}"
    },
    "file name": lambda rng: rng.choice(
        (f"IMG_{moment(rng):%Y%m%d_%H%M%S}.jpg", f"report-{moment(rng):%Y-%m-%d}-v2.pdf",
         f"{digits(rng, 8)}_{digits(rng, 15)}_{digits(rng, 16)}_n.jpg",
         f"backup.{milliseconds(rng)}.tar.gz")
    ),
    "license key": lambda rng: "-".join(some(rng, ALNUM[:26] + "23456789", 5) for _ in range(5)),
}  # fmt: skip

_FLAT_NAMES: tuple[tuple[str, Any], ...] = (
    ("passwordless", "enabled"), ("tokens_used", 1234), ("token_count", 88), ("pinned", "yes"),
    ("pincode", "560001"), ("secretary", "Ms Doe"), ("author", "J. Doe"), ("authorized", "full"),
    ("authMethod", "oauth2"), ("cookieConsent", "granted"), ("is_password_reset", True),
    ("cookie_policy", "v3"), ("tokenType", "Bearer"), ("token_expires_at", 1795256130123),
    ("password_strength", "strong"), ("passwordLength", 12), ("has_password", True),
    ("password", None), ("password", True), ("token", False), ("password", ""), ("token", "null"),
    ("max_tokens", 4096), ("total_tokens", 812), ("authentication", "sso"), ("auth_provider", "x1"),
    ("authority", "kesb"), ("spin", 3), ("opinion", "4 of 5"), ("shipping", "express 24h"),
    ("pinterest", "board 12"), ("keyword", "red shoes"), ("key", "abc123"), ("monkey", "7"),
    ("keyCode", 13), ("hotkey", "ctrl+k"), ("primary_key", 12345), ("code", "SUMMER26"),
    ("zip_code", "8001"), ("postal_code", "8001"), ("promo_code", "SAVE20"), ("country_code", "41"),
    ("status_code", 404), ("error_code", "E1234"), ("language_code", "de-CH"), ("passenger", "2"),
    ("passed", 12), ("bypass", "on"), ("compass", "NW 312"), ("passport_required", True),
    ("card_type", "visa"), ("cardBrand", "amex"), ("card_last4", "4242"), ("cards", 3),
    ("card_position", 12), ("discard", "4 items"), ("dashboard", "x1"), ("ipod", "touch 5"),
    ("tip", "12.50"), ("zip", "8001"), ("ship", "1.2.3.4.5"), ("recipient", "team 4"),
    ("description", "12 x 34"), ("ip_count", 4), ("mobile", True), ("isMobile", "true"),
    ("phone_model", "SM-G960F"), ("phoneBrand", "Nokia 3310"), ("mobile_width", 390),
    ("phone_verified_at", 1795256130123), ("has_phone", "1"), ("telemetry", "1795256130123"),
    ("hotel", "4012888"), ("cancel", "20261121"), ("excel", "1795256130"), ("cell", "B12"),
    ("cell_id", 123456789), ("microphone", "2 devices"), ("headphones", "1234567890"),
    ("megaphone", "12345678"), ("phone_price", 129900000), ("automobile", "1234567"),
    ("secretariat", "b2"), ("csc_enabled", True), ("otp_method", "sms"), ("pin_color", "#ff0000"),
    ("map_pin", {"lat": 47.376887, "lng": 8.541694}), ("sessionId", "4111111111111111a"),
    ("session_index", 4), ("username", "jdoe99"), ("user_id", "u_12345"),
    ("account_id", "123456789"),
    ("customer_number", "100200300"), ("transaction_id", "txn_1a2b3c"), ("order_no", "2026-000123"),
    ("hash", "d41d8cd98f00b204e9800998ecf8427e"), ("etag", 'W/"5e-17a3"'), ("nonce", "a1b2c3"),
    ("accessibility", "AA 2.2"), ("access_level", "3"), ("private", "1"), ("public_key_id", "k1"),
    ("passRate", 0.98), ("test_pass", "17/18"), ("cookies_enabled", True), ("cookieBanner", "v2"),
    ("authorName", "Jane"), ("tokenized", "yes"), ("tokenizer", "bpe-4"), ("design_tokens", "v1.2"),
)  # fmt: skip


def _names(rng: random.Random) -> Iterator[Sample]:
    for name, value in _FLAT_NAMES:
        shape = f"name: {name}"
        yield Sample("none", shape, {name: value})
        yield Sample("none", shape, {"properties": {"list": [{name: value, "n": rng.random()}]}})
        if isinstance(value, str) and value.isalnum():
            yield Sample("none", shape, {"url": f"https://x.example/?{name}={value}&a=1"})
