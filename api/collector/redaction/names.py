"""What a name says about its value: `userPassword`, `card-number`, `phone`, `x-forwarded-for`."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final


class NameKind(StrEnum):
    """What stands under a name, and so which values of it are replaced."""

    SECRET = "secret"  # noqa: S105  # any value
    CODE = "code"  # a short code with digits: `pin`, `cvv`, `otp`
    CREDENTIAL = "credential"  # what looks like one: `auth` may also say "email-link"
    CARD = "card"
    SSN = "ssn"
    IBAN = "iban"
    PHONE = "phone"
    IP = "ip"


MAX_NAME_CHARS: Final = 64
_NAME: Final = re.compile(r"[0-9A-Za-z_.:$ \[\]\u0080-\U0010ffff-]+")

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z\u00df-\u024f]+|[0-9]+")

# Patterns over the name's words, lower case, each between underscores: `_user_password_2_`.
_SECRET: Final = re.compile(
    r"(?:password|passwd|passphrase|passcode|passwort|kennwort|secret|token|apikey)s?_"
    r"|_jwt_|_pass_(?:word|wd|phrase|code)_|pwd_|_password[a-z]+_|_contrase[nñ]a_|_senha_|_mdp_"
    r"|_mot_de_passe_|_motdepasse_|_wachtwoord_|_credentials?_|_[cx]srf[a-z]*_|sessid_|jsessionid_"
    r"|_(?:api|access|private|secret|signing|encryption|auth)_key_"
    r"|(?:access|private|secret|signing|encryption)key_"
    r"|_auth(?:ori[sz]ation)?_?code_|_oob_?code_|_saml_?(?:request|response|art)_|_sam_lart_"
)
_NOT_SECRET: Final = re.compile(r"_(?:passwordless|tokens)_|^_forgot(?:ten)?_password_$")
_CODE: Final = re.compile(
    r"_(?:cvv|cvc|csc|cvn|otp|totp)(?:code|number)?_"
    r"|_pin_(?:(?:code|number|no|confirmation|confirm|repeat|new|old|[0-9]+)_)?$|_pinnumber_"
    r"|_(?:security|verification|mfa|sms|one_time|reset|recovery|activation|login)_code_"
    r"|(?:security|verification)code_"
)
_CREDENTIAL: Final = re.compile(r"(?:^_pass|_auth|authorization|_cookies?)_$")
_CARD: Final = re.compile(r"(?:_|credit|debit)(?:card|cc)_?(?:number|num|no|nr)_|_kartennummer_")
_SSN: Final = re.compile(r"_ssn_|_social_security_")
_IBAN: Final = re.compile(r"_iban_|_iban(?:number|nr|no)_")
_PHONE: Final = re.compile(
    r"_(?:(?:user|customer|home|work|cell|mobile|billing|shipping|contact|client|guest|tele)?phone"
    r"|tel|télé_?phone|téléphone|telefon[eo]?|teléfono|mobile?|móvil|movil|celular|fax|msisdn"
    r"|whats_?app|handy|natel|gsm|rufnummer|(?:contact|callback)_number)s?"
    r"_?(?:(?:number|num|no|nr|nummer|home|work|main|primary|raw|e_164|value|input|[0-9]+)_)*$"
)
_IP: Final = re.compile(
    r"_(?:client|user|remote|visitor|real|source|src)?ips?_(?:(?:v|addr(?:ess)?|[0-9]+)_)*$"
    r"|_ip(?:v|addr(?:ess)?)_(?:[0-9]+_)?$|_remote_?(?:addr(?:ess)?|host)_$|_forwarded_for_$"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ASKS: Final = _words(
    "is has had show hide use uses with without needs requires allow enable can"
    " should did was num count total max min toggle"
)
"""First words of a name that is a question or a count: `has_password`, `max_token`."""
_DESCRIBES: Final = _words(
    "type types count counts length len strength policy reset changed at date time visible"
    " visibility expires expiry expired exp expiration ttl valid validity invalid status state ok"
    " error errors required enabled disabled attempt attempts tries score label placeholder page"
    " url uri link href path field fields form button name names method mode provider consent"
    " banner notice preferences settings accepted limit limits usage used color colour icon"
    " position size width height version ver scheme format model brand os rules min max"
    " requirements match mismatch present set exists updated created verified id last"
)
"""Last words of a name that tells of the secret, and is none: `password_strength`."""

_KINDS: Final = (
    (_CARD, NameKind.CARD),
    (_SSN, NameKind.SSN),
    (_IBAN, NameKind.IBAN),
    (_CODE, NameKind.CODE),
    (_SECRET, NameKind.SECRET),
    (_CREDENTIAL, NameKind.CREDENTIAL),
    (_PHONE, NameKind.PHONE),
    (_IP, NameKind.IP),
)


def classify(name: str) -> NameKind | None:
    """What a field or parameter of this name holds; None when the name says nothing."""
    return _classify(name) if len(name) <= MAX_NAME_CHARS else None


@lru_cache(maxsize=8_192)
def _classify(name: str) -> NameKind | None:
    if not _NAME.fullmatch(name) or "redacted:" in name:
        return None
    words = [word.lower() for word in _WORDS.findall(name)]
    if not words or words[0] in _ASKS or _last_word(words) in _DESCRIBES:
        return None
    joined = f"_{'_'.join(words)}_"
    if _NOT_SECRET.search(joined):
        return None
    return next((kind for pattern, kind in _KINDS if pattern.search(joined)), None)


def _last_word(words: list[str]) -> str:
    return next((word for word in reversed(words) if not word.isdigit()), "")
