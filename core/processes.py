"""What child processes owe their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent(parent: int | None) -> None:
    """Have the kernel stop this child when its parent, by number, is killed (only Linux does).

    Where it is gone by now, nobody would tell: raises SystemExit.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        sys.exit("What started this process is gone.")
