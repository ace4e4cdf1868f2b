"""What child processes owe their parent, and tell it."""

from __future__ import annotations

import os
import subprocess
from functools import partial

import pytest

from core.processes import die_with_parent


def test_a_child_whose_parent_is_there_runs() -> None:
    subprocess.run(["true"], preexec_fn=partial(die_with_parent, os.getpid()), check=True)


def test_a_child_whose_parent_was_gone_before_it_could_ask_ends() -> None:
    """Nobody would ever tell it."""
    with pytest.raises(subprocess.SubprocessError):
        subprocess.run(["true"], preexec_fn=partial(die_with_parent, os.getppid()), check=True)
