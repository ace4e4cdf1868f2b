"""The spool against what the world does to it: kill -9, a full disk, neighbours."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api.collector.spool import Spool, StoredEntry
from tests.conftest import ROOT

KILLS = 30
CHILD = [sys.executable, "-m", "tests.integration.spool_child"]


def start(folder: Path, name: str, number: int, *, size: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*CHILD, "append", str(folder), name, str(number), str(size)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )


def kill_after(child: subprocess.Popen[bytes], seconds: float) -> list[int]:
    """What it was told is durable, until it was killed, so long after the first."""
    assert child.stdout is not None
    first = child.stdout.readline()
    time.sleep(seconds)
    child.kill()
    told = [int(line) for line in (first + child.stdout.read()).split()]
    child.wait()
    return told


def read_all(folder: Path) -> list[StoredEntry]:
    spool = Spool.open(folder, max_bytes=500_000_000, min_free_bytes=0)
    try:
        return spool.first(max_bytes=10**9)
    finally:
        spool.close()


def numbers_of(stored: list[StoredEntry], name: str) -> list[int]:
    parts = [s.entry.body.split(b" ", 2) for s in stored]
    return [int(part[1]) for part in parts if part[0] == name.encode()]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", [2_000, 400_000])
def test_kill_9_at_any_moment_takes_nothing_that_was_told_durable(
    tmp_path: Path, size: int
) -> None:
    moments = random.Random(os.urandom(8))
    folder = tmp_path / "spool"
    number = 0
    for _ in range(KILLS):
        told = kill_after(start(folder, "a", number, size=size), moments.uniform(0, 0.15))
        stored = read_all(folder)
        found = numbers_of(stored, "a")
        assert all(s.is_intact for s in stored), "a part of an entry"
        assert found == list(range(len(found))), "in order, each once"
        assert not told or found[-1] >= told[-1], "told durable, and gone"
        number = len(found)
        if moments.random() < 0.2:
            spool = Spool.open(folder, max_bytes=500_000_000, min_free_bytes=0)
            spool.forget_through(stored[-1].number, spool_id=spool.spool_id)
            spool.close()
            number = 0
            folder = tmp_path / f"spool-{moments.random()}"
    assert not any(folder.glob("damaged-*"))


@pytest.mark.timeout(120)
def test_several_processes_append_and_a_killed_one_holds_up_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    children = {name: start(folder, name, 0, size=50_000) for name in "abcd"}
    told = {name: kill_after(child, 0.3) for name, child in children.items()}
    stored = read_all(folder)
    assert all(s.is_intact for s in stored)
    for name in children:
        found = numbers_of(stored, name)
        assert found == list(range(len(found)))
        assert found[-1] >= told[name][-1]
    assert [s.number for s in stored] == sorted(s.number for s in stored)


@pytest.mark.timeout(120)
def test_processes_that_begin_at_the_same_moment_share_one_spool(tmp_path: Path) -> None:
    for attempt in range(5):
        folder = tmp_path / f"spool-{attempt}"
        children = [start(folder, name, 0, size=100) for name in "abcd"]
        told = [kill_after(child, 0) for child in children]
        assert all(told)
        assert len({s.spool_id for s in read_all(folder)}) == 1
        assert not any(folder.glob("damaged-*"))


def on_a_small_disk(folder: Path, *command: str) -> list[str]:
    """Run a command with 8 MB of memory for a disk, in a namespace of its own."""
    mount = f'mount -t tmpfs -o size=8m tmpfs {folder} && exec "$@"'
    who = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *who, "--mount", "sh", "-c", mount, "sh", *command]


@pytest.mark.parametrize(
    "min_free_bytes",
    [
        600_000,
        -(2**60),  # no floor: the disk itself says that it is full
    ],
)
def test_a_full_disk_is_said_and_intake_comes_back_with_the_space(
    tmp_path: Path, min_free_bytes: int
) -> None:
    command = on_a_small_disk(tmp_path, *CHILD, "fill", str(tmp_path), str(min_free_bytes))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["before"] > 20
    assert told["kept"] == told["before"] + told["still"], "nothing that was told durable is gone"
    assert told["still"] <= 5
    assert told["after"] > 5
    assert told["intact"]
    assert told["kept_after"] == told["kept"] + told["after"]
    assert told["again"] > told["before"]
