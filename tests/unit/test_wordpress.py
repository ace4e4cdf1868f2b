"""The WordPress plugin: PHP takes it, it does what it says, it is packed the same each time."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT

WORDPRESS = ROOT / "tracking/wordpress"

needs_php = pytest.mark.skipif(
    shutil.which("php") is None, reason="no php here: apt-get install php-cli"
)


def php(*arguments: str | Path) -> str:
    done = subprocess.run(["php", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_php
def test_its_php_has_no_syntax_errors() -> None:
    files = sorted(WORDPRESS.rglob("*.php"))
    assert len(files) > 10
    for file in files:
        php("-l", file)


@needs_php
def test_it_does_what_it_says() -> None:
    lines = php("-d", "zend.assertions=1", WORDPRESS / "test/run.php").splitlines()
    assert len([line for line in lines if line.startswith("ok - ")]) == int(lines[-1][3:])
    assert int(lines[-1][3:]) >= 20


def test_every_file_but_the_first_refuses_to_run_alone() -> None:
    for file in (WORDPRESS / "sluice").rglob("*.php"):
        text = file.read_text()
        guard = "WP_UNINSTALL_PLUGIN" if file.name == "uninstall.php" else "ABSPATH"
        assert f"defined( '{guard}' ) || exit;" in text, file


def test_the_version_is_one() -> None:
    plugin = (WORDPRESS / "sluice/sluice.php").read_text()
    (header,) = (line[12:] for line in plugin.splitlines() if line.startswith(" * Version: "))
    assert f"define( 'SLUICE_VERSION', '{header}' );" in plugin
    assert f"Stable tag: {header}\n" in (WORDPRESS / "sluice/readme.txt").read_text()


def test_it_is_packed_the_same_each_time(tmp_path: Path) -> None:
    pack = load(WORDPRESS / "pack.py")
    names = pack.pack(tmp_path / "one.zip")
    pack.pack(tmp_path / "two.zip")
    one, two = (hashlib.sha256((tmp_path / name).read_bytes()) for name in ("one.zip", "two.zip"))
    assert one.digest() == two.digest()
    with zipfile.ZipFile(tmp_path / "one.zip") as packed:
        assert packed.testzip() is None
        assert packed.namelist() == names == sorted(names)
    assert {"sluice/sluice.php", "sluice/js/page.js", "sluice/LICENSE.txt"} <= set(names)
    assert {name.split("/")[0] for name in names} == {"sluice"}


def load(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
