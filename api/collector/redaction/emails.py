"""E-mail addresses: something, an at sign, and a name that can be a host's on the internet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from api.collector.redaction.detector import Detector, Span, is_in_authority, mark

# Letters and digits of every script: internationalised addresses (RFC 6531, RFC 5890).
_AT: Final = re.compile("@")
_LOCAL: Final = re.compile(r"[\w.%+'!$*^~-]+")
_DOMAIN: Final = re.compile(r"[\w-]+(?:\.[\w-]+)+")
_LAST_LABEL: Final = re.compile(r"(?:xn--[a-z0-9-]+|[^\W\d_]{2,63})(?![^\W_])", re.IGNORECASE)
_VERSION: Final = re.compile(r"\d+\.\d+")
_SCALE: Final = re.compile(r"\d+(?:\.\d+)?x\.", re.IGNORECASE)
_FILE_ENDINGS: Final = frozenset(
    ("png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "bmp", "tif", "tiff", "css", "js",
     "mjs", "cjs", "ts", "tsx", "jsx", "json", "html", "htm", "php", "xml", "txt", "pdf", "webm",
     "woff", "ttf", "eot", "map")
)  # fmt: skip
"""Of file names; none of them is a top-level domain."""
_MAX_LOCAL_CHARS: Final = 64  # RFC 5321
_MAX_DOMAIN_CHARS: Final = 255
_LEADING: Final = ".'!$*^~%"


def find_emails(text: str) -> Iterator[Span]:
    """The e-mail addresses in a text, whatever stands around them."""
    for sign in _AT.finditer(text):
        at = sign.start()
        domain = _DOMAIN.match(text, at + 1, at + 1 + _MAX_DOMAIN_CHARS)
        # Read backwards: from the front, each beginning would be tried in turn.
        local = domain and _LOCAL.match(text[max(0, at - _MAX_LOCAL_CHARS) : at][::-1])
        if not local or not domain:
            continue
        start = at - len(local[0].rstrip(_LEADING))
        end = at + 1 + len(_reachable(domain[0]))
        if start < at and end > at + 1 and not _is_user_info(text, start, end):
            yield Span(start, end, mark(Detector.EMAIL))


def _reachable(domain: str) -> str:
    """The domain up to its last label that can be a top-level one; empty when there is none."""
    if _VERSION.match(domain) or _SCALE.match(domain):
        return ""  # pkg@1.2.3-rc.1, icon@2x.png
    while (dot := domain.rfind(".")) > 0:
        last = _LAST_LABEL.match(domain, dot + 1)
        if last:
            return "" if last[0].lower() in _FILE_ENDINGS else domain[: last.end()]
        domain = domain[:dot]
    return ""


def _is_user_info(text: str, start: int, end: int) -> bool:
    """`https://me@host/`, `git@host:owner/repository`: who asks a host, not where to write."""
    if text[start:end].startswith("git@") and text[end : end + 1] in (":", "/"):
        return True
    return is_in_authority(text, start)
