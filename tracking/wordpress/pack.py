"""Pack `sluice/` into `sluice.zip`, for WordPress: the same files make the same bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The first moment that a zip can tell.
EPOCH = (1980, 1, 1, 0, 0, 0)


def pack(target: Path) -> list[str]:
    """Write the zip, stored: compressors differ in their bytes. Returns the names in it."""
    files = sorted(path for path in (HERE / "sluice").rglob("*") if path.is_file())
    names = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as zipped:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(HERE).as_posix(), EPOCH)
            entry.external_attr = 0o644 << 16
            zipped.writestr(entry, file.read_bytes())
            names.append(entry.filename)
    return names


if __name__ == "__main__":
    pack(HERE / "sluice.zip")
