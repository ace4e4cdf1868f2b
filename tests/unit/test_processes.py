"""What child processes owe their parent, and tell it."""

from __future__ import annotations

import os
import subprocess
from functools import partial
from pathlib import Path

import pytest

from core.processes import READY_FILE, die_with_parent, say_ready


def test_a_child_whose_parent_is_there_runs() -> None:
    subprocess.run(["true"], preexec_fn=partial(die_with_parent, os.getpid()), check=True)


def test_a_child_whose_parent_was_gone_before_it_could_ask_ends() -> None:
    """Nobody would ever tell it."""
    with pytest.raises(subprocess.SubprocessError):
        subprocess.run(["true"], preexec_fn=partial(die_with_parent, os.getppid()), check=True)


def test_a_process_that_nobody_asked_tells_nobody_that_it_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(READY_FILE, raising=False)
    say_ready()


def test_a_process_that_cannot_tell_that_it_is_up_runs_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(READY_FILE, str(tmp_path / "gone" / "ready"))
    say_ready()
