"""JSON written in every way that JSON may be written, around things that redaction looks for."""

from __future__ import annotations

import json
import random
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, format_number

from tests.unit.redaction.corpus import numbers as n
from tests.unit.redaction.corpus import read

_POOL = [s for name in ("positives", "heldout_positives") for s in read(name)]
_NAMES = (
    "password", "pass_word", "userPassword", "TOKEN", "x-api-key", "api.key", "PIN", "userPin",
    "cvv2", "auth", "Cookie", "phone", "PHONE_NUMBER", "whats app", "ip", "clientIp",
    "X-Forwarded-For", "ssn", "IBAN", "card number", "cc_no", "otp", "mot de passe", "contraseña",
    "téléphone", "value", "name", "móvil", "remote_addr", "ips", "phones", "tel", "csrf",
    "credentials", "q", "password é", "one time code", "e_mail",
)  # fmt: skip
_VALUES = (
    "hunter22", "1234", "203.0.113.77", "2001:db8:1:2::3", "10.0.0.1, 203.0.113.9", "0791234567",
    "044 668 18 00", "Bearer abcdef", "true", "", "a@b.co", "x", "١٢٣٤٥٦٧٨٩٠", "4111111111111111",
    "４１１１１１１１１１１１１１１１", "me＠example.com", "（044） 668 18 00", "＋41791234567",
    "4111\u200b1111\u200b1111\u200b1111", "41 11 11 11 11 11 11 11", "078-05-1120",
    "tel:0446681800", "card no: 4222222222222", "https://u:p@h.example/", "wa.me/41791234567",
    "\u2066+41 79 123 45 67",
)  # fmt: skip
_GLUE = (
    "", " ", "=", "&", ": ", "\n", "\t", "\\", '"', "'", "/", "-", ".", ",", "%", "+", "?", "#",
    "é", "x", "7", "://", "{", "}", "[", "\u00a0", "_",
)  # fmt: skip


def texts() -> st.SearchStrategy[str]:
    """Pieces of what is looked for, glued with what may stand between them."""
    piece = st.one_of(
        st.sampled_from(_NAMES),
        st.sampled_from(_VALUES),
        st.sampled_from(_GLUE),
        st.integers(0, 2**32).map(_made),
        st.text(max_size=6),
    )
    return st.lists(piece, max_size=7).map("".join)


def _made(seed: int) -> str:
    rng = random.Random(seed)
    card = n.card(rng)[1]
    phone = format_number(n.phone(rng), PhoneNumberFormat.INTERNATIONAL)
    return rng.choice(
        (
            card, n.grouped_card(card, rng.choice(" -.\u00a0")), n.ssn(rng, rng.choice("- ")),
            n.iban(rng), n.grouped_iban(n.iban(rng)), f"a{seed % 99}@example.com",
            phone,
        )
    )  # fmt: skip


def planted() -> st.SearchStrategy[tuple[str, str]]:
    """A secret, and a text that holds it, encoded in up to three ways."""
    letters = st.text("abc xyzäß", max_size=12)
    secret = st.integers(0, 2**32).map(_made)
    parts = st.tuples(letters, secret, letters, st.lists(st.sampled_from(_WAYS), max_size=3))
    return parts.map(lambda p: (p[1], _apply((f"{p[0]} {p[1]} {p[2]}", p[3]))))


def encoded_texts() -> st.SearchStrategy[str]:
    """Texts, percent-encoded or written as JSON, up to thrice."""
    return st.tuples(texts(), st.lists(st.sampled_from(_WAYS), max_size=3)).map(_apply)


def _apply(text_and_ways: tuple[str, list[Any]]) -> str:
    text, ways = text_and_ways
    for way in ways:
        try:
            text = way(text)
        except UnicodeEncodeError:  # half of a surrogate pair has no percent form
            continue
    return text


def _percent_some(text: str) -> str:
    rng = random.Random(text)
    return "".join(
        "".join(f"%{b:02x}" for b in c.encode()) if rng.random() < 0.3 else c for c in text
    )


_WAYS: tuple[Any, ...] = (
    quote, quote_plus, lambda t: quote(t, safe=""), json.dumps, _percent_some,
    lambda t: json.dumps(t, ensure_ascii=False), lambda t: json.dumps({"k": t}),
)  # fmt: skip


def trees() -> st.SearchStrategy[Any]:
    """JSON trees whose names and values may be anything that is looked for."""
    leaf = st.one_of(
        encoded_texts(),
        st.integers(0, 2**32).map(lambda seed: int(n.card(random.Random(seed))[1])),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from((4111111111111111.0, 79123456, 41791234567, True, None)),
        st.sampled_from(_POOL).map(lambda s: s.value),
    )
    name = st.one_of(st.sampled_from(_NAMES), encoded_texts())
    pair = st.fixed_dictionaries(
        {"name": st.sampled_from(_NAMES), "value": st.sampled_from(_VALUES)}
    )
    return st.recursive(
        leaf,
        lambda t: st.one_of(st.lists(t, max_size=3), st.dictionaries(name, t, max_size=3), pair),
        max_leaves=5,
    )


def write_json(value: Any, rng: random.Random) -> str:
    """This value as JSON: with any white space, and any character as its escape."""
    escapes = rng.choice((0.0, 0.0, 0.02, 0.5))

    def blank() -> str:
        return rng.choice(("", "", "", " ", "\n", "\t "))

    def text(string: str) -> str:
        return '"' + "".join(char(c) for c in string) + '"'

    def char(c: str) -> str:
        if rng.random() < escapes or "\ud800" <= c <= "\udfff":
            units = c.encode("utf-16-be", "surrogatepass").hex()
            return "".join(
                "\\u" + rng.choice((str.lower, str.upper))(units[i : i + 4])
                for i in range(0, len(units), 4)
            )
        return "\\/" if c == "/" and escapes else json.dumps(c, ensure_ascii=False)[1:-1]

    def number(x: float) -> str:
        ways = [json.dumps(x)]
        if isinstance(x, float) and x.is_integer() and 1e9 < x < 1e17:
            ways += [f"{x:.0f}.0", f"{x:.17e}", f"{x:.0f}e0", f"{x / 1e3:.6f}E+3"]
        return next(w for w in rng.sample(ways, len(ways)) if float(w) == float(x))

    def write(v: Any) -> str:
        match v:
            case str():
                return text(v)
            case bool() | None:
                return json.dumps(v)
            case int() | float():
                return number(v) if isinstance(v, float) else str(v)
            case list():
                return "[" + blank() + f"{blank()},{blank()}".join(map(write, v)) + blank() + "]"
            case _:
                fields = (text(k) + blank() + ":" + blank() + write(x) for k, x in v.items())
                return "{" + blank() + f"{blank()},{blank()}".join(fields) + blank() + "}"

    return blank() + write(value) + blank()
