"""`sluice up` beside parts that cannot start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.running_stack import ROOT, RunningStack, free_port, wait_until


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        ("collector", {"GEO_DATABASE": "/nowhere/at/all", "API_WORKERS": "2"}),
        ("exporter", {"SIGNING_KEY_DIR": "/dev/null/nowhere/at/all"}),
    ],
    ids=["collector", "exporter"],
)
def test_a_stack_of_which_a_part_cannot_start_says_why_and_ends(
    tmp_path: Path, part: str, broken: dict[str, str]
) -> None:
    data, port = str(tmp_path / "data"), str(free_port())
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "up", "--data", data, "--port", port],
        cwd=ROOT,
        env=os.environ | broken,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode != 0
    assert f"The {part} does not stay up." in ended.stderr
    assert "nowhere/at/all" in ended.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_parts_tell_that_they_came_up(tmp_path: Path, workers: str) -> None:
    """Else their later deaths would count as starts that failed."""
    stack = RunningStack(tmp_path / "data", settings={"API_WORKERS": workers})
    stack.start()
    try:
        for part in ("collector", "exporter"):
            told = tmp_path / "data" / "logs" / f"{part}.ready"
            wait_until(told.exists, seconds=30, what=f"the {part} to say so")
    finally:
        stack.stop()
