"""`sluice tag`, as it is called."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tracker_dist import TRACKER, integrity_of, make_dist


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return make_dist(tmp_path / "dist")


def tag(dist: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", "tag", "--dist", str(dist), *arguments],
        cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_newest_and_the_pinned_and_the_policy(dist: Path) -> None:
    done = tag(dist, "--site", "shop.example", "--origin", "https://events.shop.example/")
    newest, pinned = re.findall(r"<script .*</script>", done.stdout)
    assert newest == (
        '<script async src="https://events.shop.example/js/tracking.js"'
        ' data-site-id="shop.example"></script>'
    )
    integrity = integrity_of((dist / TRACKER).read_bytes())
    assert pinned == (
        f'<script async src="https://events.shop.example/js/{TRACKER}" integrity="{integrity}"'
        ' crossorigin="anonymous" data-site-id="shop.example"></script>'
    )
    own = "https://events.shop.example"
    assert f"script-src {own}; connect-src {own}" in done.stdout


def test_under_the_names_that_the_settings_give(dist: Path, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("TRACKER_ALIAS=/a/app.js\nCOLLECT_ALIAS=/a/x\n")
    done = tag(dist, "--site", "shop.example", "--env-file", str(tmp_path / "env"))
    assert re.findall(r'src="(\S+)"', done.stdout) == [
        "/a/app.js", TRACKER.replace("tracking", "/a/app"),
    ]  # fmt: skip
    assert done.stdout.count('data-endpoint="/a/x"') == 2
    assert "script-src 'self'; connect-src 'self'" in done.stdout


def test_the_build_of_views_keeps_its_name(dist: Path) -> None:
    done = tag(dist, "--site", "s", "--views", TRACKER_ALIAS="/a/app.js")
    assert re.findall(r'src="(\S+)"', done.stdout) == ["/a/views.js", "/a/views.99aabbcc.js"]


def test_a_site_cannot_end_the_attribute(dist: Path) -> None:
    assert 'data-site-id="&quot;&gt;x"' in tag(dist, "--site", '">x').stdout


@pytest.mark.parametrize(
    ("arguments", "variables", "told"),
    [
        (("--origin", "events.shop.example"), {}, "is no origin"),
        (("--origin", "https://a.example/b"), {}, "is no origin"),
        (("--origin", 'https://a.example">'), {}, "is no origin"),
        ((), {"TRACKER_ALIAS": "/health.d"}, "TRACKER_ALIAS='/health.d': "),
        (("--dist", "/nowhere"), {}, "`make tracker` builds it"),
        (("--env-file", "/nowhere"), {}, "missing or empty"),
    ],
)
def test_what_cannot_be_is_told(
    dist: Path, arguments: tuple[str, ...], variables: dict[str, str], told: str
) -> None:
    done = tag(dist, "--site", "s", *arguments, **variables)
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_build_without_that_script_is_told(dist: Path) -> None:
    (dist / "assets.json").write_text('{"assets": {}, "pinned": {}}')
    done = tag(dist, "--site", "s")
    assert done.returncode == 1
    assert "has no 'tracking.js'" in done.stderr
