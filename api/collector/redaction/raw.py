"""How a character may stand in raw JSON: as itself, as `\\u0040`, as `%40`, as `%2540`.

Building blocks of the prefilter: bytes patterns for RE2, each of which matches at least what the
detectors accept once everything is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from api.collector.redaction.view import DIGIT_BLOCKS

BACKSLASH: Final = rb"(?:\\|%(?:25)*5[cC])+"
ENCODED: Final = rb"(?:%(?:25)*[0-9A-Fa-f]{2}|" + BACKSLASH + b"u[0-9A-Fa-f]{4})"
ESCAPED: Final = BACKSLASH + b"[bfnrt]"
GAP_SIGN: Final = rb"(?:[ .+\-/()]|" + ENCODED + b"|" + BACKSLASH + rb"/|[\x80-\xff])"
GAP: Final = GAP_SIGN + b"+"
MAYBE_GAP: Final = GAP_SIGN + b"*"

LEFT: Final = rb"(?:^|[^0-9A-Za-z_]|" + ESCAPED + b"|" + ENCODED + b")"
"""In front of a number: no letter, digit or underscore once decoded."""
LEFT_OF_WHOLE: Final = (
    rb"(?:^|[^0-9A-Za-z_.]|(?:^|[^0-9]|" + ENCODED + rb")\.|" + ESCAPED + b"|" + ENCODED + b")"
)
"""Likewise, and no decimal point."""
LEFT_OF_LOCAL: Final = (
    rb"(?:^|[^0-9A-Za-z_.\-]|(?:^|[^0-9A-Za-z]|" + ESCAPED + b"|" + ENCODED + rb")[.\-]|"
    + ESCAPED + b"|" + ENCODED + b")"
)  # fmt: skip
"""Likewise, and no dash that ties it to a word: a UUID's middle."""
LEFT_OF_LOWER: Final = (
    rb"(?:^|[^0-9A-Za-z_\-]|(?:^|[^0-9a-f]|" + ENCODED + b")-|" + ESCAPED + b"|" + ENCODED + b")"
)
"""Likewise, and no dash that ties it to lower-case hexadecimal: a UUID's tail."""
RIGHT: Final = rb"(?:$|[^0-9A-Za-z_])"

QUOTE: Final = rb'(?:\\*"|' + BACKSLASH + rb"u0022)"
JUNK: Final = rb'(?:[^0-9A-Za-z"]|' + ENCODED + b")*"
"""Between two words of a name."""

UNUSUAL: Final = (
    rb"%(?:25)*(?:2[dDeE]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9Aa])"
    b"|" + BACKSLASH
    + rb"u00(?:2[05bBdDeE89fF]|3[0-9aA]|4[0-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])"
)  # fmt: skip
"""Characters that no encoder has a reason to encode. Whoever does is looked at closely."""


def any_of(patterns: Iterable[bytes]) -> bytes:
    """One of them."""
    return b"(?:" + b"|".join(patterns) + b")"


def sign(ascii_sign: str, wide: str) -> bytes:
    """A sign in every way of writing it, its fullwidth form included."""
    percent = "".join(f"%{byte:02x}" for byte in wide.encode())
    folded = b"".join(_percent_byte(part) for part in percent.split("%")[1:])
    return any_of(
        (
            rb"\x%02x" % ord(ascii_sign),
            rb"%%(?:25)*%s" % _either_case(f"{ord(ascii_sign):02x}"),
            wide.encode(),
            BACKSLASH + b"u" + _either_case(f"{ord(wide):04x}"),
            folded,
        )
    )


def _percent_byte(hexadecimal: str) -> bytes:
    return rb"%(?:25)*" + _either_case(hexadecimal)


def _either_case(hexadecimal: str) -> bytes:
    return "".join(f"[{c}{c.upper()}]" if c.isalpha() else c for c in hexadecimal).encode()


def three_digits_of_another_script() -> bytes:
    """A number in fullwidth, Arabic-Indic, Persian, Devanagari, Bengali or Thai digits."""
    digit = any_of(way for zero in DIGIT_BLOCKS for way in _ways_of_digits(zero))
    return digit + b"{3}"


def _ways_of_digits(zero: int) -> Iterator[bytes]:
    """The ten digits from this one on, in every way of writing them."""
    raw = chr(zero).encode()
    last_byte = rb"[\x%02x-\x%02x]" % (raw[-1], raw[-1] + 9)
    yield raw[:-1] + last_byte
    # Ten code points in a row share all but their last hexadecimal digit.
    yield BACKSLASH + b"u" + _either_case(f"{zero:04x}"[:3]) + _last_digits(zero)
    head = b"".join(_percent_byte(f"{byte:02x}") for byte in raw[:-1])
    yield head + rb"%(?:25)*" + _either_case(f"{raw[-1]:02x}"[0]) + _last_digits(raw[-1])


def _last_digits(first: int) -> bytes:
    digits = "".join(f"{(first & 0xF) + n:x}" for n in range(10))
    return f"[{digits}{digits.upper()}]".encode()


AT: Final = sign("@", "＠")
PLUS: Final = sign("+", "＋")
OPEN: Final = sign("(", "（")
CLOSE: Final = sign(")", "）")
DOT: Final = sign(".", "．")
