"""What the exporter has in C: one library, called by way of ctypes, which lets other threads run.

`make` compiles it with whatever C compiler there is. Where there is none, or where it is of
another release, the exporter does without, slower.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Final

LIBRARY: Final = Path(__file__).with_name("rows.so")
_INTERFACE: Final = 4  # `native_interface` in the compiled part
_FUNCTIONS: Final = (
    ("find_values", ctypes.c_int, "pppnppipp"),
    ("read_columns", None, "ppnpn"),
    ("read_messages", ctypes.c_int64, "pnnpnp"),
)
_KINDS: Final = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "i": ctypes.c_int32}


class Unreadable(Exception):
    """Bytes that are not laid out, or not typed, as expected: nothing of them is guessed."""


@cache
def load_native() -> ctypes.CDLL:
    """The compiled part; raises OSError where there is none, or one of another machine or age."""
    library = ctypes.CDLL(str(LIBRARY))
    try:
        interface = ctypes.c_int.in_dll(library, "native_interface").value
    except ValueError as exc:
        raise OSError(f"{LIBRARY} is something else") from exc
    if interface != _INTERFACE:
        raise OSError(f"{LIBRARY} was compiled from another release: `make {LIBRARY}` again")
    for name, result, arguments in _FUNCTIONS:
        function = getattr(library, name)  # which the interface's number stands for
        function.restype = result
        function.argtypes = [_KINDS[letter] for letter in arguments]
    return library


def is_compiled() -> bool:
    """Whether it is there."""
    try:
        load_native()
    except OSError:
        return False
    return True
