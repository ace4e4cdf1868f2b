"""Text that somebody else wrote, on its way to a terminal or into a mail."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text on one line, its control characters escaped: none may move the terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
