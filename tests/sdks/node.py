"""Run an SDK under Node: the small scripts beside this file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"


def needs_node() -> None:
    """Skip, visibly, where there is no Node or npm; with both the packages must be there."""
    if shutil.which("node") is None or (MODULES / ".absent").exists():
        pytest.skip("no Node here")
    installed = MODULES / ".package-lock.json"
    assert installed.is_file(), "make tests/sdks/node_modules/.ready installs them"


def run_script(script: str, *arguments: str, clock_ahead_seconds: float = 0) -> Any:
    """Run a sender to its end; returns the JSON that it prints last."""
    needs_node()
    preload = ["--import", str(HERE / "clock-ahead.mjs")] if clock_ahead_seconds else []
    done = subprocess.run(
        ["node", *preload, script, *arguments],
        cwd=HERE,
        env=os.environ | {"CLOCK_AHEAD_SECONDS": str(clock_ahead_seconds)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else None


def bundle(entry: str, folder: Path) -> Path:
    """One of the entries beside this file, with all it imports, as a script for a page."""
    needs_node()
    script = folder / f"{Path(entry).stem}.js"
    subprocess.run(
        [MODULES / ".bin/esbuild", entry, "--bundle", "--format=iife", f"--outfile={script}"],
        cwd=HERE,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return script
