"""What machine a result was measured on, and how a result is printed."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any


def report(benchmark: str, **facts: Any) -> None:
    """Print one result as a JSON line."""
    print(json.dumps({"benchmark": benchmark, **facts, "machine": _machine()}), flush=True)


def peak_memory_mb() -> float:
    """The most that this process had resident since its program began.

    `ru_maxrss` does not tell: it includes what the process that forked it had.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM: this is not Linux")


def _machine() -> str:
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} x {model}, {system}, Python {platform.python_version()}"
