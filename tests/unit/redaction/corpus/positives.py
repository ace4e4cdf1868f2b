"""What must be found: each kind in its own forms, carried in every way."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from phonenumbers import PhoneNumberFormat, format_number

from tests.unit.redaction.corpus import Sample
from tests.unit.redaction.corpus import numbers as n
from tests.unit.redaction.corpus.carriers import EVERYWHERE

Form = Callable[[random.Random], str]


def positives(*, seed: int) -> list[Sample]:
    rng = random.Random(seed)
    return [
        *_carried(rng, "card", _CARDS, 320),
        *_json_numbers(rng, 40),
        *_carried(rng, "ssn", _SSNS, 120),
        *_carried(rng, "iban", _IBANS, 200),
        *_carried(rng, "email", _EMAILS, 320),
        *_links(rng),
        *_carried(rng, "phone", _PHONES, 320),
        *_named_phones(rng, 80),
        *_named_numbers(rng),
        *_secrets(rng),
        *_addresses(rng),
    ]


def _carried(rng: random.Random, label: str, forms: dict[str, Form], count: int) -> list[Sample]:
    samples = []
    names = list(forms)
    for index in range(count):
        form = names[index % len(names)]
        name, carrier = rng.choice(EVERYWHERE)
        secret = forms[form](rng)
        value, gone = carrier(rng, secret)
        if "<" in secret:  # Jane Doe <jane@…>: she may stay
            gone += (secret[secret.index("<") + 1 : -1],)
        samples.append(Sample(label, f"{form} in {name}", value, gone))
    return samples


_CARDS: dict[str, Form] = {
    "bare": lambda rng: n.card(rng)[1],
    "spaces": lambda rng: n.grouped_card(n.card(rng)[1], " "),
    "dashes": lambda rng: n.grouped_card(n.card(rng)[1], "-"),
    "dots": lambda rng: n.grouped_card(n.card(rng)[1], "."),
    "no-break spaces": lambda rng: n.grouped_card(n.card(rng)[1], "\u00a0"),
}

_SSNS: dict[str, Form] = {
    "dashes": n.ssn,
    "dashes again": n.ssn,
    "spaces": lambda rng: n.ssn(rng, " "),
}

_IBANS: dict[str, Form] = {
    "bare": n.iban,
    "groups of four": lambda rng: n.grouped_iban(n.iban(rng)),
    "lower case": lambda rng: n.iban(rng).lower(),
    "no-break spaces": lambda rng: n.grouped_iban(n.iban(rng), "\u00a0"),
    "lower case groups": lambda rng: n.grouped_iban(n.iban(rng).lower()),
}

_LOCALS = (
    "john.doe", "j", "anna-maria", "o'brien", "info", "first.last+tag", "user_99", "12345",
    "MAX.MUSTERMANN", "x.y.z", "sales", "jürgen", "用户", "мария", "a1b2c3", "no-reply",
)  # fmt: skip
_DOMAINS = (
    "example.com", "mail.example.co.uk", "example.org", "sub.domain.example.net", "firma.de",
    "exämple.de", "xn--exmple-cua.de", "münchen.example", "post.ch", "gmail.com", "studio.berlin",
    "my-company.photography", "例え.jp", "почта.рф", "EXAMPLE.COM", "a.io", "uni-x.ac.at",
)  # fmt: skip


def _email(rng: random.Random) -> str:
    return f"{rng.choice(_LOCALS)}@{rng.choice(_DOMAINS)}"


_EMAILS: dict[str, Form] = {
    "plain": _email,
    "numbered": lambda rng: f"user{rng.randrange(10_000)}@{rng.choice(_DOMAINS)}",
    "tagged": lambda rng: f"{rng.choice('abcdef')}{rng.randrange(99)}+shop@{rng.choice(_DOMAINS)}",
    "with a name": lambda rng: f"Jane Doe <{_email(rng)}>",
}


def _international(rng: random.Random) -> str:
    return format_number(n.phone(rng), PhoneNumberFormat.INTERNATIONAL)


def _national(rng: random.Random) -> str:
    """A local form that nothing but a phone number is written in: trunk zero or brackets."""
    while True:
        text = format_number(n.phone(rng), PhoneNumberFormat.NATIONAL)
        count = sum(c.isdigit() for c in text)
        separated = any(not c.isdigit() for c in text)
        if separated and count >= 9 and (text.startswith("0") or "(" in text):
            return text


def _north_american(rng: random.Random) -> str:
    number = str(n.phone(rng, ("US", "CA")).national_number)
    return rng.choice(("{}-{}-{}", "({}) {}-{}", "{}.{}.{}", "1-{}-{}-{}", "({}){}-{}")).format(
        number[:3], number[3:6], number[6:]
    )


_PHONES: dict[str, Form] = {
    "international": _international,
    "E.164": lambda rng: format_number(n.phone(rng), PhoneNumberFormat.E164),
    "national": _national,
    "North American": _north_american,
    "dashes": lambda rng: _international(rng).replace(" ", "-"),
    "Swiss": lambda rng: _swiss(rng),
}


def _swiss(rng: random.Random) -> str:
    rest = f"{rng.randrange(200, 1000)} {n.digits(rng, 2)} {n.digits(rng, 2)}"
    return rng.choice(("+41 (0)44 {}", "+41 (0)79 {}", "0041 44 {}", "044 {}")).format(rest)


def _links(rng: random.Random) -> list[Sample]:
    samples = []
    for _ in range(12):
        email, phone = _email(rng), format_number(n.phone(rng), PhoneNumberFormat.E164)
        for shape, template in (
            ("mailto link", "mailto:{}"),
            ("mailto link with subject", "mailto:{}?subject=Order%2012&body=Hi"),
            ("mailto in HTML", '<a href="mailto:{}">write</a>'),
            ("path", "https://x.example/unsubscribe/{}/confirm"),
        ):
            samples.append(Sample("email", shape, {"href": template.format(email)}, (email,)))
        encoded = quote(email, safe="")
        samples.append(
            Sample("email", "encoded in path", {"path": f"/u/{encoded}"}, (email, encoded))
        )
        for shape, template in (
            ("tel link", "tel:{}"),
            ("tel link in HTML", "<a href='tel:{}'>call</a>"),
            ("sms link", "sms:{}?body=hi"),
        ):
            samples.append(Sample("phone", shape, {"href": template.format(phone)}, (phone,)))
        samples.append(
            Sample("phone", "chat link", {"href": f"https://wa.me/{phone[1:]}"}, (phone[1:],))
        )
    return samples


def _json_numbers(rng: random.Random, count: int) -> list[Sample]:
    samples = []
    for _ in range(count):
        number = n.card(rng)[1]
        value = rng.choice(({"value": int(number)}, {"list": [1, int(number)]}))
        samples.append(Sample("card", "JSON number", value, (number,)))
    return samples


_PHONE_NAMES = (
    "phone", "phoneNumber", "phone_number", "tel", "telephone", "mobile", "mobile_number",
    "customerPhone", "contact-phone", "billing_phone", "cellPhone", "whatsapp", "telefon", "fax",
    "mobileNumber", "telefono", "téléphone", "handynummer", "PHONE", "user[phone]", "msisdn",
)  # fmt: skip


def _named_phones(rng: random.Random, count: int) -> list[Sample]:
    samples = []
    for _ in range(count):
        number = n.phone(rng)
        plain = str(number.national_number)
        text = rng.choice((plain, f"{number.country_code}{plain}", _national(rng)))
        name = rng.choice(_PHONE_NAMES)
        value: Any
        match rng.randrange(4):
            case 0:
                value, shape = {name: text}, "under a phone's name"
            case 1:
                text, value, shape = plain, {name: int(plain)}, "JSON number under a phone's name"
            case 2:
                text, shape = quote(text), "query parameter with a phone's name"
                value = {"url": f"https://x.example/f?a=1&{quote(name)}={text}"}
            case _:
                value, shape = {"p": json.dumps({name: text})}, "JSON in a string"
        samples.append(Sample("phone", shape, value, (text,)))
    return samples


def _named_numbers(rng: random.Random) -> list[Sample]:
    """What its name tells, whatever its check digits say."""
    samples = []
    for name in ("card_number", "cardNumber", "cc_number", "cardnumber", "card-number", "ccNum"):
        number = "41" + n.digits(rng, 14)
        samples.append(Sample("card", "named", {name: number}, (number,)))
        samples.append(Sample("card", "named number", {name: int(number)}, (number,)))
    for name in ("ssn", "SSN", "user_ssn", "customerSsn", "social_security_number"):
        number = n.digits(rng, 9)
        samples.append(Sample("ssn", "named", {name: number}, (number,)))
    for name in ("iban", "IBAN", "bank_iban", "ibanNumber"):
        number = "CH93" + n.digits(rng, 14)
        samples.append(Sample("iban", "named", {name: number}, (number,)))
    return samples


_SECRET_NAMES = (
    "password", "Password", "passwd", "pwd", "passphrase", "userPassword", "new_password",
    "password_confirmation", "password2", "current-password", "user[password]", "loginPwd",
    "secret", "clientSecret", "client_secret", "token", "access_token", "accessToken",
    "refresh_token", "id_token", "idToken", "authToken", "x-auth-token", "api_key", "apiKey",
    "apikey", "x-api-key", "API_KEY", "session_token", "sessionToken", "csrf_token", "csrfToken",
    "_csrf", "xsrf-token", "csrfmiddlewaretoken", "__RequestVerificationToken", "private_key",
    "privateKey", "cookie", "Set-Cookie", "authorization", "Authorization", "Proxy-Authorization",
    "aws_secret_access_key", "secretKey", "bearer_token", "passcode", "resetPasswordToken",
    "stripe_token", "credentials",
)  # fmt: skip
_CODE_NAMES = (
    "cvv", "CVV", "cvc", "cvv2", "card_cvc", "cardCvv", "csc", "pin", "user_pin", "newPin", "otp",
    "otp_code", "securityCode", "security_code", "pin_code",
)  # fmt: skip


def _secret(rng: random.Random) -> str:
    return rng.choice(
        (
            "hunter" + n.digits(rng, 2),
            "S3cr3t!" + n.digits(rng, 4),
            "correct horse battery staple",
            "Pa$$w0rd;" + n.digits(rng, 2),
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx" + n.digits(rng, 3) + "In0.c2lnbmF0dXJl",
            "sk_test_" + n.digits(rng, 16),
            "Bearer abc" + n.digits(rng, 6),
            "Zm9v" + n.digits(rng, 6) + "==",
            "grüße-" + n.digits(rng, 3),
            "%41b&c=" + n.digits(rng, 4),
        )
    )


def _secrets(rng: random.Random) -> list[Sample]:
    samples = []
    for name in _SECRET_NAMES:
        for _ in range(6):
            samples.append(_named_secret(rng, name, _secret(rng)))
    for name in _CODE_NAMES:
        for _ in range(4):
            code = n.digits(rng, 3 if name[:1].lower() == "c" or "Cvv" in name else 6)
            samples.append(_named_secret(rng, name, code))
    for _ in range(20):
        secret = f"{rng.choice('abcxyz')}{n.digits(rng, 8)}"
        for shape, value in (
            ("user and password in an address", {"url": f"https://bob:{secret}@x.example/a"}),
            ("credential in an address", {"url": f"ftp://{secret}@x.example:21/"}),
            ("object under a name", {"token": {"type": "x", "value": secret}}),
            ("list under a name", {"cookies": [{"v": secret}, {"v": "theme=dark"}]}),
            ("form fields", {"fields": [{"name": "password", "value": secret}]}),
            ("header in prose", {"log": f"sent Authorization: Bearer {secret}"}),
        ):
            samples.append(Sample("secret", shape, value, (secret,)))
    return samples


def _named_secret(rng: random.Random, name: str, secret: str) -> Sample:
    encoded, encoded_name = quote(secret, safe=""), quote(name, safe="")
    inner = f"https://y.example/in?{encoded_name}={encoded}&b=2"
    match rng.randrange(9):
        case 0:
            return Sample("secret", "key", {name: secret}, (secret,))
        case 1:
            return Sample("secret", "deep key", {"a": [{"b": {name: secret}}]}, (secret,))
        case 2:
            url = f"https://x.example/cb?a=1&{encoded_name}={encoded}&z=2"
            return Sample("secret", "query parameter", {"url": url}, (secret, encoded))
        case 3:
            url = f"https://x.example/#{encoded_name}={encoded}&state=x"
            return Sample("secret", "fragment", {"href": url}, (secret, encoded))
        case 4:
            url = f"https://x.example/go?next={quote(inner, safe='')}"
            return Sample("secret", "encoded twice", {"referrer": url}, (quote(encoded, safe=""),))
        case 5:
            text = json.dumps({"x": 1, name: secret})
            return Sample("secret", "JSON in a string", {"body": text}, (json.dumps(secret)[1:-1],))
        case 6:
            text = f"a=1&{encoded_name}={encoded}"
            return Sample("secret", "form body", {"body": text}, (encoded,))
        case 7:
            text = '{"eventType":"x","properties":{' + f'"{name}":{json.dumps(secret)}' + ', "cut'
            return Sample("secret", "dead letter", text, (json.dumps(secret)[1:-1],), is_text=True)
        case _:
            url = f"https://x.example/cb?{encoded_name}={encoded}"
            return Sample("secret", "dead query", url, (encoded,), is_text=True)


def _addresses(rng: random.Random) -> list[Sample]:
    samples = []
    names = ("ip", "ipAddress", "ip_address", "remote_addr", "client_ip", "X-Forwarded-For", "IP")
    for name in names:
        v4 = ".".join(str(rng.randrange(1, 255)) for _ in range(4))
        v6 = f"2001:db8:{rng.randrange(1, 9999)}:{rng.randrange(1, 9999)}::{rng.randrange(1, 99)}"
        for shape, value in (("IPv4", v4), ("IPv6", v6), ("two", f"{v4}, 10.0.0.7")):
            gone = (v4,) if shape == "two" else (value,)
            samples.append(Sample("ip", f"{shape} under a name", {name: value}, gone))
        url = f"https://x.example/?{name}={v4}&a=1"
        samples.append(Sample("ip", "query parameter", {"url": url}, (v4,)))
    return samples
