"""Umami's own script for browsers.

No package ships it built. Umami's application on npm ships its source, which is the script but for
the name of a path that may be replaced; its dependencies, a whole web application, are not needed.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tarfile
from pathlib import Path

from tests.sdks.node import needs_node

_PACKAGE = "umami@2.10.0"
_INTEGRITY = (
    "+lmrnV0751R6U2rkIgVAlE1nWI7yZawlMlJDguW9tlFacCKhnGeCyc7tCMIhNNYIiGIQy4DEX5IzJhm4b3+dPA=="
)


def fetch_umami_script(folder: Path) -> Path:
    """Get the package, check that it is the one that was read, and take the script out of it."""
    needs_node()
    subprocess.run(
        ["npm", "pack", _PACKAGE, "--silent", "--pack-destination", str(folder)],
        cwd=folder,
        capture_output=True,
        check=True,
        timeout=90,
    )
    (archive,) = folder.glob("*.tgz")
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert digest == _INTEGRITY, "another package than the one that was read"
    with tarfile.open(archive) as package:
        source = package.extractfile("package/src/tracker/index.js")
        assert source is not None
        script = folder / "script.js"
        script.write_bytes(source.read())
    return script
