"""What the tracker's build leaves in `dist/`, of a copy of its sources with plugins of ours."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import brotli
import pytest

from tests.conftest import ROOT
from tests.tracker_dist import integrity_of

MODULES = ROOT / "tracking/node_modules"
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or (MODULES / ".absent").exists() or not MODULES.exists(),
    reason="no Node here",
)


@pytest.fixture
def tracking(tmp_path: Path) -> Path:
    """The sources, and two plugins."""
    copy = tmp_path / "tracking"
    for name in ("scripts", "src", "demo", "licenses", "plugin-analytics/src"):
        shutil.copytree(ROOT / "tracking" / name, copy / name)
    (copy / "node_modules").symlink_to(MODULES)
    for name in ("package.json", "tsconfig.json"):
        shutil.copy(ROOT / "tracking" / name, copy)
    for name in ("errors", "vitals"):
        add_plugin(copy, name)
    return copy


def add_plugin(tracking: Path, name: str) -> None:
    (tracking / "plugins").mkdir(exist_ok=True)
    source = f'export default () => console.log("this is {name}", "ü");\n'
    (tracking / "plugins" / f"{name}.ts").write_text(source)


def run(tracking: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["node", f"scripts/{script}.mjs"],
        cwd=tracking, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def build(tracking: Path) -> dict[str, Any]:
    """Build; returns what `assets.json` tells."""
    done = run(tracking, "build")
    assert done.returncode == 0, done.stderr
    assets: dict[str, Any] = json.loads((tracking / "dist/assets.json").read_text())
    return assets


def test_all_that_is_served_is_there(tracking: Path) -> None:
    assets = build(tracking)
    dist = tracking / "dist"
    pinned = assets["pinned"]["tracking.js"]
    assert re.fullmatch(r"tracking\.[0-9a-f]{8}\.js", pinned)
    assert (dist / pinned).read_bytes() == (dist / "tracking.js").read_bytes()
    for digit, name in enumerate(("errors", "vitals")):
        chunk = assets["plugins"][name]
        assert re.fullmatch(rf"[0-9a-f]{{8}}{digit}\.js", chunk)
        content = (dist / chunk).read_bytes()
        assert f"this is {name}".encode() in content
        assert content.startswith(b"//# allFunctionsCalledOnLoad\n")
        assert (dist / f"{digit}.js").read_bytes() == content, "for builds that are gone"
    assert set(assets["assets"]) == {
        "tracking.js", pinned, "views.js", assets["pinned"]["views.js"],
        *assets["plugins"].values(),
    }  # fmt: skip
    # Chromium looks for it before anything else.
    assert (dist / "tracking.js").read_text().startswith("//# allFunctionsCalledOnLoad\n")
    for name, told in assets["assets"].items():
        content = (dist / name).read_bytes()
        assert told == {"bytes": len(content), "integrity": integrity_of(content)}
    scripts = {file.name for file in dist.glob("*.js")}
    assert {file.name for file in dist.iterdir()} == {"assets.json"} | {
        script + suffix for script in scripts for suffix in ("", ".br", ".gz")
    }
    for script in scripts:
        content = (dist / script).read_bytes()
        assert brotli.decompress((dist / f"{script}.br").read_bytes()) == content
        assert gzip.decompress((dist / f"{script}.gz").read_bytes()) == content


def test_the_same_sources_build_to_the_same_bytes(tracking: Path) -> None:
    def contents() -> dict[str, bytes]:
        build(tracking)
        return {file.name: file.read_bytes() for file in (tracking / "dist").iterdir()}

    assert contents() == contents()


def test_a_plugin_keeps_its_digit_whatever_comes_and_goes(tracking: Path) -> None:
    before = build(tracking)["plugins"]
    add_plugin(tracking, "carts")  # before the others, by name
    (tracking / "plugins/errors.ts").unlink()
    after = build(tracking)["plugins"]
    assert {name: chunk[8] for name, chunk in after.items()} == {"vitals": "1", "carts": "2"}
    dist = tracking / "dist"
    assert not list(dist.glob(f"{before['vitals'][:8]}*")), "what is no more is gone"
    assert not list(dist.glob("0.js*")), "nothing stands in for a plugin that is gone"
    add_plugin(tracking, "errors")
    assert build(tracking)["plugins"]["errors"][8] == "0", "unless it comes back"


def test_the_check_looks_at_what_comes_out_of_a_compressed_file(tracking: Path) -> None:
    build(tracking)
    dist = tracking / "dist"
    script = (dist / "tracking.js").read_bytes()
    (dist / "tracking.js.br").write_bytes(brotli.compress(script, quality=1))
    (dist / "tracking.js.gz").write_bytes(gzip.compress(script, 1))
    assert run(tracking, "fresh").returncode == 0, "another zlib's bytes"
    (dist / "tracking.js.gz").write_bytes(gzip.compress(script + b" "))
    (dist / "tracking.js.br").write_bytes(b"not brotli")
    (dist / "deadbeef0.js").write_bytes(b"")
    done = run(tracking, "fresh")
    assert done.returncode == 1
    for name in ("tracking.js.gz", "tracking.js.br", "deadbeef0.js"):
        assert name in done.stderr
    build(tracking)
    assert run(tracking, "fresh").returncode == 0


def test_a_pinned_tracker_that_somebody_kept_stays(tracking: Path) -> None:
    before = build(tracking)["pinned"]["tracking.js"]
    dist = tracking / "dist"
    (dist / "tracking.01234567.js").write_text("kept")
    (tracking / "src/index.ts").write_text('console.log("changed");\n')
    after = build(tracking)["pinned"]["tracking.js"]
    assert before != after
    assert {file.name for file in dist.glob("tracking.*.js")} == {after, "tracking.01234567.js"}
    assert run(tracking, "fresh").returncode == 0
