"""E-mail addresses: something, an at sign, and a name that can be a host's on the internet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from api.collector.redaction.detector import Detector, Span, is_in_authority, mark
from api.collector.redaction.linear import LinearPattern

# Letters and digits of every script: internationalised addresses (RFC 6531, RFC 5890).
_CANDIDATE: Final = LinearPattern(
    r"[\p{L}\p{M}\p{N}._%+'!$*^~-]+@[\p{L}\p{M}\p{N}-]+(?:\.[\p{L}\p{M}\p{N}-]+)+"
)
_LAST_LABEL: Final = re.compile(r"(?:xn--[a-z0-9-]+|[^\W\d_]{2,63})", re.IGNORECASE)
_VERSION: Final = re.compile(r"\d+\.\d+")
_SCALE: Final = re.compile(r"\d+(?:\.\d+)?x\.", re.IGNORECASE)
_FILE_ENDINGS: Final = frozenset(
    "png jpg jpeg gif svg webp avif ico bmp tif tiff css js mjs cjs ts tsx jsx json html htm php"
    " xml txt pdf mp3 mp4 webm woff woff2 ttf eot map".split()
)
"""Of file names; none of them is a top-level domain."""
_MAX_LOCAL_CHARS: Final = 64  # RFC 5321
_LEADING: Final = ".'!$*^~%"


def find_emails(text: str) -> Iterator[Span]:
    """The e-mail addresses in a text, whatever stands around them."""
    if "@" not in text:
        return
    for start, end in _CANDIDATE.find_spans(text):
        local, _, domain = text[start:end].rpartition("@")
        local = local.lstrip(_LEADING)[-_MAX_LOCAL_CHARS:]
        domain = _reachable(domain)
        at = text.rindex("@", start, end)
        if local and domain and not _is_user_info(text, at - len(local), at + 1 + len(domain)):
            yield Span(at - len(local), at + 1 + len(domain), mark(Detector.EMAIL))


def _reachable(domain: str) -> str:
    """The domain up to its last label that can be a top-level one; empty when there is none."""
    if _VERSION.match(domain) or _SCALE.match(domain):
        return ""  # pkg@1.2.3-rc.1, icon@2x.png
    labels = domain.split(".")
    while len(labels) >= 2:
        last = labels[-1].strip("-")
        if last.lower() in _FILE_ENDINGS:
            return ""
        if _LAST_LABEL.fullmatch(last):
            return ".".join(labels)
        labels.pop()
    return ""


def _is_user_info(text: str, start: int, end: int) -> bool:
    """`https://me@host/`, `git@host:owner/repository`: who asks a host, not an address of theirs."""
    if text[start:end].startswith("git@") and text[end : end + 1] in (":", "/"):
        return True
    return is_in_authority(text, start)
