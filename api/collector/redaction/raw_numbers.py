"""What cards, SSNs, IBANs and phone numbers look like in a raw body.

Coarser than the detectors on purpose: RE2's automaton stays small, and the little that it lets
through is looked at. A test holds that it lets through all that a detector accepts.
"""

from __future__ import annotations

from typing import Final

from api.collector.redaction.raw import (
    CLOSE,
    ENCODED,
    ESCAPED,
    GAP,
    LEFT,
    LEFT_OF_LOCAL,
    LEFT_OF_LOWER,
    LEFT_OF_WHOLE,
    MAYBE_GAP,
    OPEN,
    PLUS,
    RIGHT,
    any_of,
)


def _digits(count: int) -> bytes:
    return rb"[0-9]{%d}" % count


def _groups(first: bytes, *sizes: int) -> bytes:
    return first + b"".join(GAP + _digits(size) for size in sizes)


_MORE: Final = b"(?:" + MAYBE_GAP + b"[0-9])"
_MAESTRO: Final = rb"(?:50(?:18|20|38)|5612|5893|63(?:04|90)|67(?:[59]9|6[1-37]))"
_CARD_WORDS: Final = rb"(?i:card|visa|karte|carte|carta|tarjeta|amex|cc|pan)"


def cards() -> bytes:
    """In one piece, in groups, digit by digit, announced, or as a number with an exponent."""
    whole = (
        rb"[2-69][0-9]{15}", rb"3[47][0-9]{13}", rb"3[0689][0-9]{12}", rb"62[0-9]{15,17}",
        _MAESTRO + rb"[0-9]{8,15}",
    )  # fmt: skip
    first = rb"[2-689][0-9]{%d}"
    up_to_19 = GAP + rb"[0-9]{1,4}(?:" + GAP + rb"[0-9]{1,3})?"
    grouped = (
        _groups(first % 3, 4, 4) + up_to_19,
        _groups(_MAESTRO, 4, 4),
        _groups(first % 3, 6) + GAP + b"[0-9]{4,5}",
        _groups(first % 3, 3, 3, 3),
        _groups(first % 3, 5, 6),
        _groups(first % 5, 10) + b"(?:[0-9]{3})?",
        _groups(first % 5, 4, 4, 5),
        _groups(first % 7, 8),
        rb"[2-689](?:" + GAP + rb"[0-9]){11,18}",
        rb"[2-689][0-9](?:" + GAP + rb"[0-9]{2}){5,9}",
    )
    between = rb"(?:[^0-9A-Za-z]|(?i:number|num|no|nr)|" + ESCAPED + b"|" + ENCODED + b")*"
    return any_of(
        (
            LEFT_OF_WHOLE + any_of(whole) + RIGHT,
            LEFT + any_of(grouped) + RIGHT,
            _CARD_WORDS + between + rb"[2-9][0-9]{11,18}" + RIGHT,
            rb"(?:^|[:,\[\s])-?[0-9]+(?:\.[0-9]+)?[eE][+\-]?[0-9]",
        )
    )


def ssns() -> bytes:
    """Three, two and four digits with the same separator, as far as RE2 can say so."""
    gap = rb"(?:[ +\-]|[\x80-\xff]|" + ENCODED + b")+"
    return LEFT + rb"[0-8][0-9]{2}" + gap + _digits(2) + gap + _digits(4) + RIGHT


def ibans() -> bytes:
    """A country, two digits, and eleven places of what its banks use: no IBAN has fewer."""
    any_place, digit, letter = (MAYBE_GAP + c for c in (b"[0-9A-Za-z]", b"[0-9]", b"[A-Za-z]"))
    shapes = (
        (b"AE AT BA BE BR CR CZ DE DK EE EG ES FI FO GL HR HU IL IS LT LY ME MR NO PL PT RS SD SE"
         b" SI SK ST TL TN VA XK", digit * 11),
        (b"BH BG GB GI IE IQ JO KW LC LV MT MU NL PK PS QA RO SC SV VG AZ",
         letter * 4 + any_place * 7),
        (b"IT SM", letter + digit * 10),
        (b"GE", letter * 2 + digit * 9),
        (b"CH LI KZ LU SA MK", digit * 2 + any_place * 9),
        (b"MD BY DO GT", any_place * 11),
        (b"AD AL CY FR GR MC", digit * 7 + any_place * 4),
        (b"LB TR UA", digit * 4 + any_place * 7),
    )  # fmt: skip
    return any_of(
        any_of((left, b"(?i:iban)"))
        + any_of(
            any_of(first(country) + b"(?i:" + country[1:] + b")" for country in countries.split())
            + _digits(2)
            + places
            for countries, places in shapes
        )
        for left, first in ((LEFT, _first_letter), (LEFT_OF_LOWER, _first_letter_lower))
    )


def _first_letter(country: bytes) -> bytes:
    return country[:1]


def _first_letter_lower(country: bytes) -> bytes:
    return country[:1].lower()


def phones() -> bytes:
    """What convinces without a name: a plus, two zeros, a trunk zero, brackets, groups."""
    left_of_plus = rb"(?:^|[^0-9A-Za-z]|" + ESCAPED + b"|" + ENCODED + b")"
    # With a trunk zero, nine digits at least, in two groups at least.
    trunk = any_of(
        rb"[0-9]{%d}" % more + GAP + b"[0-9]" + _MORE + rb"{%d}" % max(1, 6 - more)
        for more in range(5)
    )
    exchange = rb"[2-9][0-9]{2}"
    in_brackets = OPEN + exchange + CLOSE + MAYBE_GAP + exchange + MAYBE_GAP + _digits(4)
    north_american = any_of((_groups(exchange + GAP + exchange, 4), in_brackets))
    local = (
        OPEN + b"?0[1-9]" + trunk,
        rb"(?:1" + GAP + b")?" + north_american,
        _groups(rb"[6-9][0-9]{2}", 2, 2, 2),
        _groups(rb"[1-9][0-9]", 3, 2, 2),
        _groups(rb"1[3-9][0-9]", 4, 4),
        rb"8" + MAYBE_GAP + _groups(_digits(3), 3, 2) + MAYBE_GAP + _digits(2),
        rb"00[0-9]*" + GAP + rb"[0-9]" + _MORE + b"{3}",
    )
    return any_of(
        (
            left_of_plus + PLUS + MAYBE_GAP + b"[1-9]" + _MORE + b"{6}",
            LEFT_OF_LOCAL + any_of(local),
            OPEN + rb"[0-9]{1,5}" + CLOSE + _MORE + b"{6}",
        )
    )
