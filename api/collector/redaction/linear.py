"""RE2: patterns that take time in proportion to the text, whatever the text is."""

from __future__ import annotations

import re2

_MAX_MEMORY = 64 << 20
# The automaton is built while it runs; with too little room it is thrown away and built again.


class LinearBytes:
    """A question to bytes, which need not be UTF-8."""

    def __init__(self, pattern: bytes) -> None:
        options = _options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        self._search = re2.compile(pattern, options).search

    def occurs_in(self, data: bytes) -> bool:
        """Whether the pattern occurs."""
        return self._search(data) is not None


def _options() -> re2.Options:
    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    options.log_errors = False
    return options
