"""`tracker_bytes`: what each script weighs, ours held against its budget."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.machine import report

ROOT = Path(__file__).resolve().parent.parent.parent


def measure(peers: dict[str, dict[str, int]]) -> None:
    """A line for each file of ours, and for each peer as a site's bundler makes it."""
    for row in weigh_ours():
        name = row.pop("name")
        report("tracker_bytes", script=f"ours: {name}", **row)
    for name, weights in peers.items():
        report("tracker_bytes", script=name, **weights)


def weigh_ours() -> list[dict[str, Any]]:
    """What `budget.mjs` says; it fails when something is over, and says so all the same."""
    done = subprocess.run(
        ["node", ROOT / "tracking/scripts/budget.mjs", "--json"],
        check=False,
        capture_output=True,
        text=True,
    )
    if not done.stdout:
        raise RuntimeError(done.stderr)
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows
