"""The exporter's own folder on the local disk: ids, and what waits for its upload."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from uuid import UUID


def open_staging(parent: Path, stack_id: UUID) -> Path:
    """An empty folder of this stack's own: what a killed exporter left in it is gone."""
    folder = parent / f"sluice-staging-{stack_id}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def stage(prefix: str, staging: Path | None) -> tempfile.TemporaryDirectory[str]:
    """A folder below it, or below the system's, that goes with what this returns.

    Somebody may have cleared the staging folder away since the start: it is made again.
    """
    if staging is not None:
        staging.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=prefix, dir=staging)
