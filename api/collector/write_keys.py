"""Write keys: what a server that sends events may show instead of an Origin."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import parse_qs

from api.collector.dialects.dialect import Headers
from core.refusal import RefusalReason, Refused

RequireWriteKey = Literal["never", "server"]

MIN_KEY_CHARS: Final = 8
ANY_SITE: Final = "*"

_UNKNOWN: Final = Refused(RefusalReason.WRITE_KEY_REFUSED, "the write key is not one of ours")
_MISSING: Final = Refused(
    RefusalReason.WRITE_KEY_REFUSED,
    "a request that comes from no page needs a write key: Authorization: Bearer <key>",
)


class WriteKeys:
    """The keys of a stack. Kept and looked up as digests, so that no comparison tells a key."""

    __slots__ = ("_sites", "_wanted_of_servers")

    def __init__(self, sites: Mapping[str, str], *, require: RequireWriteKey = "never") -> None:
        self._sites = {_digest(key): site for key, site in sites.items()}
        self._wanted_of_servers = require == "server"

    def judge(self, key: str | None, *, from_page: bool) -> str | Refused | None:
        """The site that a key stands for, `*` for any; None for a request without one."""
        if key is None:
            return _MISSING if self._wanted_of_servers and not from_page else None
        return self._sites.get(_digest(key), _UNKNOWN)


def find_write_key(headers: Headers, query: bytes = b"") -> str | None:
    """The key of an Authorization header: Bearer's token, or the name in Basic, as SDKs send it.

    Without one, `writeKey` in the query: a beacon can set no header.
    """
    authorization = headers.get(b"authorization")
    if authorization is None:
        return _find_in_query(query) if b"writeKey=" in query else None
    scheme, _, value = authorization.partition(b" ")
    match scheme.lower():
        case b"bearer":
            return _text(value)
        case b"basic":
            try:
                return _text(base64.b64decode(value, validate=True).partition(b":")[0])
            except binascii.Error:
                return None
        case _:
            return None


def _find_in_query(query: bytes) -> str | None:
    return parse_qs(query.decode("latin-1")).get("writeKey", [None])[0]


def parse_write_keys(text: str) -> dict[str, str]:
    """Sites by key, of `key=site,key2=*`; raises ValueError, which quotes no key."""
    sites: dict[str, str] = {}
    for number, entry in enumerate((e.strip() for e in text.split(",") if e.strip()), start=1):
        # Base64 may end with "=", and no site holds one.
        key, equals, site = (part.strip() for part in entry.rpartition("="))
        if not equals or not site:
            raise ValueError(f"key {number} names no site: write key=site, or key=* for any")
        if len(key) < MIN_KEY_CHARS:
            raise ValueError(f"key {number} is shorter than {MIN_KEY_CHARS} characters")
        if key in sites:
            raise ValueError(f"key {number} stands there twice")
        sites[key] = site
    return sites


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "replace")).digest()


def _text(value: bytes) -> str | None:
    return value.strip().decode("latin-1") or None
