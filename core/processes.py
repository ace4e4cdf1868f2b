"""What child processes owe their parent, and tell it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

READY_FILE: Final = "SLUICE_READY_FILE"
"""The variable that names the file which a process makes once it is up."""

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int | None) -> None:
    """Have the kernel stop this child when its parent, by number, is killed (only Linux does).

    Where it is gone by now, nobody would tell: raises SystemExit.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit("What started this process is gone.")


def say_ready() -> None:
    """Tell who started this process that it is up, where they want to know."""
    with contextlib.suppress(KeyError, OSError):
        Path(os.environ[READY_FILE]).touch()
