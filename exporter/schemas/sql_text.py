"""Text inside SQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MAX_COMMENT_CHARS: Final = 255
"""Of a column in Glue's catalog, which is Athena's too."""


def comment(meaning: str) -> str:
    """A meaning between single quotes, the same for every engine: no escape is needed in it."""
    plain = meaning.replace("'", "’").replace("\\", "/").replace("`", "").replace("\n", " ")
    return plain if len(plain) <= MAX_COMMENT_CHARS else plain[: MAX_COMMENT_CHARS - 1] + "…"


def literal(text: str) -> str:
    """Text as a literal of standard SQL."""
    return "'" + text.replace("'", "''") + "'"


def listed(lines: Iterable[str], *, indent: str = "  ") -> str:
    """Lines with commas between them."""
    return ",\n".join(f"{indent}{line}" for line in lines)


def listed_with_meanings(lines: Iterable[tuple[str, str]], *, indent: str = "  ") -> str:
    """The same, each with what it means behind it as a comment of SQL's own."""
    pairs = list(lines)
    last = len(pairs) - 1
    return "\n".join(
        f"{indent}{line}{',' if at < last else ''}  -- {comment(meaning)}"
        for at, (line, meaning) in enumerate(pairs)
    )
