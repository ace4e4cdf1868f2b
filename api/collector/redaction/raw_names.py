"""What telling names look like in a raw body, and the values that make them worth a look.

The stems cover what `names.classify` accepts; a test makes up names and holds the two together.
No thread of the automaton outlives the name that began it: the states would multiply.
"""

from __future__ import annotations

from typing import Final

from api.collector.redaction.raw import BACKSLASH, ENCODED, ESCAPED, JUNK, MAYBE_GAP, QUOTE, any_of

_UPPER_LEFT: Final = rb"(?:^|[^A-Z]|" + ENCODED + b")"
_LOWER_LEFT: Final = rb"(?:^|[^A-Za-z]|" + ESCAPED + b"|" + ENCODED + b")"


def _words(words: str) -> tuple[bytes, ...]:
    """Words that stand for themselves in a name: `pin`, `userPin`, `PIN`; not `shipping`."""
    lower, capital, upper = (
        any_of(change(word).encode() for word in words.split())
        for change in (str.lower, str.capitalize, str.upper)
    )
    return _LOWER_LEFT + lower, capital, _UPPER_LEFT + upper


def _phrase(*words: bytes) -> bytes:
    """Words in this order, whatever stands between them."""
    return b"(?i:" + JUNK.join(words) + b")"


_SECRETS: Final = any_of(
    (
        rb"(?i:pass(?:phrase|code|wd|wor[dt])|kennwort|secret|token|apikey|contrase|wachtwoord"
        rb"|motdepasse|credential|sessid|jsessionid|(?:access|private|signing|encryption)key"
        rb"|pwd|kartennummer)",
        _phrase(b"pass", b"(?:word|wd|phrase|code)"),
        _phrase(b"mot", b"de", b"passe"),
        _phrase(b"(?:api|access|private|signing|encryption|auth)", b"key"),
        _phrase(b"(?:card|cc)", b"(?:number|num|no|nr)"),
        _phrase(b"social", b"security"),
        _phrase(
            b"(?:security|verification|mfa|sms|time|reset|recovery|activation|login"
            b"|auth|authori[sz]ation|oob)",
            b"code",
        ),
        _phrase(b"saml", b"(?:request|response|art)"),
        *_words("jwt senha mdp csrf xsrf cvv cvc csc cvn otp totp pin ssn iban"),
    )
)
_LAST_WORDS: Final = any_of((rb"(?i:authorization)", *_words("auth cookies cookie pass")))
_GRANTS: Final = (
    rb"(?i:code|ticket)(?:=|%(?:25)*3[dD]|" + BACKSLASH + rb"u003[dD])"
    rb"(?:[0-9A-Za-z._~/+!*$\-]|" + ENCODED + b"|" + BACKSLASH + b"/){20}"
)
"""What signs somebody in stands in addresses alone, and is longer than a voucher's code."""
_PHONES: Final = any_of(
    (
        rb"(?i:phone|whats" + JUNK + rb"app|msisdn|natel|rufnummer|celular|wa(?:\.|%(?:25)*2[eE])me"
        rb"|m(?:o|\xc3\xb3|" + ENCODED + b"{1,2})vil)",
        _phrase(b"(?:contact|callback)", b"number"),
        *_words("tel mobil fax handy gsm cell sms callto"),
    )
)
_ADDRESSES: Final = any_of(
    (
        rb"(?i:(?:client|user|remote|visitor|real|source|src)ip)",
        _phrase(b"remote", b"(?:addr|host)"),
        _phrase(b"forwarded", b"for"),
        *_words("ip"),
    )
)

_NAMED: Final = (
    QUOTE + rb"(?:name|key|field|id|label|param|parameter|header)" + QUOTE + rb"\s*:[^,{}]*"
)
"""`{"name": "password", "value": …}`, up to the name's own words."""
_IN_A_NAME: Final = rb"[0-9A-Za-z_.:$ \-\[\]\x80-\xff]*"
_AFTER_A_NAME: Final = rb"""(?:[=%\\:]|["']\s*[:=])"""
_BEFORE_VALUE: Final = (
    rb"(?:[^0-9A-Za-z,{}&]|" + ENCODED + b"|" + ESCAPED
    + rb"|(?i:nr|no|num|number|nummer|is|at|us|me))*"
)  # fmt: skip
_IN_A_LIST: Final = rb'"\s*:\s*\[[^\]]*?(?:[^0-9A-Za-z]|' + ESCAPED + b"|" + ENCODED + b")"


def names(*, secrets: bool, phones: bool, addresses: bool) -> bytes:
    """The names of these kinds: what stands under a secret's, numbers under a phone's or host's."""
    kinds = [
        (_SECRETS, _IN_A_NAME + _AFTER_A_NAME, secrets),
        (_LAST_WORDS, rb"[0-9_.:$ \-\[\]\x80-\xff]*" + _AFTER_A_NAME, secrets),
        (_PHONES, _with_value(rb"(?:[0-9]" + MAYBE_GAP + b"){6}"), phones),
        (_ADDRESSES, _with_value(_addresses()), addresses),
    ]
    wanted = [(words, follows) for words, follows, is_wanted in kinds if is_wanted]
    return any_of(
        (
            *(words + follows for words, follows in wanted),
            _NAMED + any_of(words for words, _ in wanted),
            *([_GRANTS] if secrets else []),
        )
    )


def _with_value(value: bytes) -> bytes:
    return any_of(
        (
            _IN_A_NAME + _AFTER_A_NAME + _BEFORE_VALUE + value,
            _BEFORE_VALUE + value,
            _IN_A_NAME + _IN_A_LIST + value,
        )
    )


def _addresses() -> bytes:
    """IP addresses, the last of which is not cut yet."""
    colon = rb"(?:\x3a|%(?:25)*3[aA])"
    v4 = rb"(?:[0-9]{1,3}\.){3}[1-9]"
    v6 = rb"[0-9A-Fa-f]{0,4}" + colon + rb"(?:[0-9A-Fa-f.]|" + colon + b")*"
    v6 += rb"[0-9A-Fa-f](?:$|[^0-9A-Fa-f:.])"
    separators = rb'(?:[ ,"\\\[\]]|' + ENCODED + b")+"
    listed = rb"(?:(?:[0-9A-Fa-f.]|" + colon + b")+" + separators + b")*"
    return listed + any_of((v4, v6))
