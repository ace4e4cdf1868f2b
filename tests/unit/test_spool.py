from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

import pytest

from api.collector import spool as spool_module
from api.collector.spool import InDoubt, Spool, SpoolBroken, SpoolEntry, SpoolFull, StoredEntry
from tests.conftest import NOON, ROOT, HandClock

MEGABYTE = 1_000_000
PAGE = 16_384


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path, clock: HandClock) -> Iterator[Spool]:
    spool = opened(folder, clock=clock)
    yield spool
    spool.close()


def opened(
    folder: Path, *, max_bytes: int = 100 * MEGABYTE, clock: HandClock | None = None
) -> Spool:
    return Spool.open(folder, max_bytes=max_bytes, min_free_bytes=0, clock=clock or HandClock())


def entries(*bodies: bytes) -> list[SpoolEntry]:
    return [SpoolEntry(body, events=1) for body in bodies]


def all_of(spool: Spool) -> list[StoredEntry]:
    return spool.first(max_bytes=1_000 * MEGABYTE)


def bodies(spool: Spool) -> list[bytes]:
    return [stored.entry.body for stored in all_of(spool)]


def forget(spool: Spool, many: int) -> int:
    """Forget the first entries; returns the last one's number."""
    number = all_of(spool)[many - 1].number
    spool.forget_through(number, spool_id=spool.spool_id)
    return number


def rescue_all(spool: Spool) -> None:
    """Queue again what can be read of every damaged file."""
    while spool.rescue():
        pass


def size_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("current/spool.sqlite3*"))


def test_entries_come_out_in_the_order_in_which_they_went_in(spool: Spool) -> None:
    spool.append(entries(b"a", b"b"))
    spool.append(entries(b"c"))
    assert bodies(spool) == [b"a", b"b", b"c"]
    first, second, third = [s.number for s in all_of(spool)]
    assert first < second < third


def test_an_entry_comes_out_as_it_went_in(spool: Spool, clock: HandClock) -> None:
    body = os.urandom(200_000)
    spool.append([SpoolEntry(body, events=20, in_doubt=InDoubt(7, 2**62))])
    (stored,) = all_of(spool)
    assert stored.entry == SpoolEntry(body, events=20, in_doubt=InDoubt(7, 2**62))
    assert stored.is_intact
    assert stored.appended_at == clock()
    assert stored.spool_id == spool.spool_id


def test_first_keeps_to_the_limit_but_gives_one_entry_at_least(spool: Spool) -> None:
    spool.append(entries(b"a" * 100, b"b" * 100, b"c" * 100))
    assert len(spool.first(max_bytes=200)) == 2
    assert len(spool.first(max_bytes=1)) == 1


def test_reading_takes_nothing_out(spool: Spool) -> None:
    spool.append(entries(b"a"))
    assert bodies(spool) == bodies(spool) == [b"a"]


def test_what_is_forgotten_is_gone_and_forgetting_again_is_harmless(spool: Spool) -> None:
    spool.append(entries(b"a", b"b", b"c"))
    number = forget(spool, 2)
    assert bodies(spool) == [b"c"]
    spool.forget_through(number, spool_id=spool.spool_id)
    assert bodies(spool) == [b"c"]
    assert spool.status().entries == 1


def test_numbers_are_never_given_out_again(spool: Spool, folder: Path) -> None:
    spool.append(entries(b"a", b"b"))
    before = forget(spool, 2)
    spool.append(entries(b"c"))
    assert forget(spool, 1) > before
    spool.close()
    again = opened(folder)
    again.append(entries(b"d"))
    assert [s.number for s in all_of(again)] == [before + 2]
    again.close()


def test_numbers_go_on_when_a_large_file_was_emptied_and_cut(folder: Path) -> None:
    spool = opened(folder)
    spool.append(entries(*[os.urandom(100_000)] * 50))
    before = forget(spool, 50)
    spool.append(entries(b"x"))
    assert [s.number for s in all_of(spool)] == [before + 1]
    spool.close()


def test_a_file_that_is_brought_back_gives_out_none_of_the_numbers_it_forgot(
    folder: Path, clock: HandClock
) -> None:
    spool = opened(folder, clock=clock)
    spool.append(entries(b"in the backup"))
    spool.close()
    backup = (folder / "current" / "spool.sqlite3").read_bytes()
    clock.turn(hours=1)
    spool = opened(folder, clock=clock)
    spool.append(entries(*[b"since then"] * 1_000))
    last = forget(spool, 1_001)
    spool.close()
    (folder / "current" / "spool.sqlite3").write_bytes(backup)
    clock.turn(hours=1)
    spool = opened(folder, clock=clock)
    spool.append(entries(b"new"))
    old, new = all_of(spool)
    assert old.number < last < new.number
    spool.close()


def test_another_files_numbers_mean_nothing(spool: Spool, tmp_path: Path) -> None:
    other = opened(tmp_path / "other")
    spool.append(entries(b"a"))
    spool.forget_through(all_of(spool)[0].number, spool_id=other.spool_id)
    other.close()
    assert bodies(spool) == [b"a"]


def test_entries_and_id_outlive_the_process(folder: Path) -> None:
    first = opened(folder)
    first.append(entries(b"a"))
    spool_id = first.spool_id
    first.close()
    second = opened(folder)
    assert second.spool_id == spool_id
    assert bodies(second) == [b"a"]
    second.close()


def test_nobody_else_may_look_into_the_folder(spool: Spool, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_status_counts_what_waits(spool: Spool, clock: HandClock) -> None:
    assert spool.status().entries == 0
    assert spool.status().oldest_appended_at is None
    spool.append([SpoolEntry(b"12345", events=3), SpoolEntry(b"123", events=4)])
    clock.turn(minutes=2)
    spool.append([SpoolEntry(b"1", events=1)])
    status = spool.status()
    assert (status.entries, status.events, status.bytes) == (3, 8, 9)
    assert status.oldest_appended_at == NOON
    forget(spool, 1)
    status = spool.status()
    assert (status.entries, status.events, status.bytes) == (2, 5, 4)


def test_the_status_tells_how_long_there_will_be_room(spool: Spool, clock: HandClock) -> None:
    assert spool.status().seconds_until_full is None
    for _ in range(11):
        spool.append(entries(bytes(MEGABYTE)))
        clock.turn(seconds=1)
    status = spool.status()
    # A megabyte a second.
    assert status.seconds_until_full == pytest.approx(status.room_bytes / MEGABYTE, rel=0.01)
    assert 60 < status.seconds_until_full < 90
    clock.turn(minutes=5)
    assert spool.status().seconds_until_full is None, "nothing is appended any more"
    spool.append(entries(bytes(MEGABYTE)))
    clock.turn(seconds=10)
    soon = spool.status().seconds_until_full
    assert soon is not None
    assert soon > 500, "another outage has a rate of its own"


@pytest.mark.parametrize("size", [200, 6_000, 100_000, 900_000])
def test_the_spool_keeps_within_its_bound_and_says_when_it_is_full(folder: Path, size: int) -> None:
    bound = 8 * MEGABYTE
    spool = opened(folder, max_bytes=bound)
    kept = largest = 0
    many = max(1, 20_000 // size)
    with suppress(SpoolFull):
        while True:
            spool.append(entries(*[os.urandom(size)] * many))
            kept += many
            largest = max(largest, size_on_disk(folder))
    assert largest <= bound + 32_768  # the log's index
    assert kept * size > bound / 2, "more than half of it was for entries"
    assert len(bodies(spool)) == kept
    assert spool.status().entries == kept
    spool.close()


def test_a_full_spool_takes_in_again_what_was_made_room_for(folder: Path) -> None:
    bound = 8 * MEGABYTE
    spool = opened(folder, max_bytes=bound)
    body = os.urandom(100_000)

    def fill() -> int:
        kept = 0
        while True:
            try:
                spool.append(entries(body))
            except SpoolFull:
                return kept
            kept += 1

    kept = fill()
    for _ in range(5):
        forget(spool, 10)
        assert fill() in range(8, 12)
        assert size_on_disk(folder) <= bound + 32_768
    assert abs(len(bodies(spool)) - kept) < 5
    spool.close()


def test_all_or_nothing(folder: Path) -> None:
    spool = opened(folder, max_bytes=4 * MEGABYTE)
    with pytest.raises(SpoolFull):
        spool.append(entries(b"small", bytes(10 * MEGABYTE)))
    assert bodies(spool) == []
    spool.append(entries(b"small"))
    assert bodies(spool) == [b"small"]
    spool.close()


def test_emptied_space_is_given_back(folder: Path) -> None:
    spool = opened(folder)
    for _ in range(30):
        spool.append(entries(os.urandom(MEGABYTE)))
    assert size_on_disk(folder) > 30 * MEGABYTE
    forget(spool, 30)
    assert size_on_disk(folder) < MEGABYTE
    spool.close()


def test_the_log_does_not_grow_with_the_spool(folder: Path) -> None:
    spool = opened(folder)
    for _ in range(400):
        spool.append(entries(os.urandom(100_000)))
        assert (folder / "current" / "spool.sqlite3-wal").stat().st_size < 17 * MEGABYTE
    spool.close()


def test_the_floor_of_free_space_is_left_alone(folder: Path) -> None:
    disk = os.statvfs(folder.parent)
    spool = Spool.open(folder, max_bytes=MEGABYTE, min_free_bytes=disk.f_bavail * disk.f_frsize * 2)
    with pytest.raises(SpoolFull):
        spool.append(entries(b"a"))
    assert spool.status().room_bytes == 0
    spool.close()


def test_an_entry_that_cannot_be_replayed_is_kept_aside(spool: Spool) -> None:
    spool.append(entries(b"a", b"b", b"c"))
    spool.set_aside(all_of(spool)[1], reason="no intake")
    assert bodies(spool) == [b"a", b"c"]
    status = spool.status()
    assert (status.entries, status.bytes, status.set_aside_entries) == (2, 2, 1)


def test_what_was_set_aside_is_queued_again_on_request_and_under_another_number(
    spool: Spool,
) -> None:
    doubtful = SpoolEntry(b"b", events=5, in_doubt=InDoubt(1, 2))
    spool.append([SpoolEntry(b"a", 1), doubtful, SpoolEntry(b"c", 1)])
    for stored in all_of(spool)[:2]:
        spool.set_aside(stored, reason="no intake")
    last = forget(spool, 1)
    assert spool.take_back_set_aside() == 2
    assert bodies(spool) == [b"a", b"b"]
    assert all_of(spool)[1].entry == doubtful
    assert [s.number for s in all_of(spool)] == [last + 1, last + 2]
    assert spool.status().set_aside_entries == 0
    assert spool.status().events == 6
    assert spool.take_back_set_aside() == 0


def test_setting_aside_works_in_a_full_spool(folder: Path) -> None:
    spool = opened(folder, max_bytes=4 * MEGABYTE)
    with suppress(SpoolFull):
        while True:
            spool.append(entries(os.urandom(100_000)))
    for stored in all_of(spool):
        spool.set_aside(stored, reason="no intake")
    assert spool.status().entries == 0
    spool.close()


def test_each_commit_is_fsynced_by_what_sqlite_was_told(spool: Spool) -> None:
    assert spool._perform(lambda file: file.pragma("synchronous")) == 2
    spool.append(entries(b"a"))


def test_it_may_be_used_from_several_threads(spool: Spool) -> None:
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for n in range(50):
                spool.append(entries(b"%d %d" % (name, n)))
                spool.status()
                spool.first(max_bytes=10_000)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = bodies(spool)
    for name in range(4):
        mine = [b for b in found if b.startswith(b"%d " % name)]
        assert mine == [b"%d %d" % (name, n) for n in range(50)]


def test_only_one_replays(folder: Path) -> None:
    one, other = opened(folder), opened(folder)
    assert one.try_lock_replay()
    assert one.try_lock_replay(), "who has it keeps it"
    assert not other.try_lock_replay()
    one.close()
    assert other.try_lock_replay()
    other.close()


def test_a_closed_spool_takes_nothing(folder: Path) -> None:
    spool = opened(folder)
    spool.close()
    spool.close()
    with pytest.raises(SpoolBroken):
        spool.append(entries(b"a"))


# --- damage --------------------------------------------------------------------------------------


def damaged_folders(folder: Path) -> list[Path]:
    return sorted(folder.glob("damaged-*"))


SCRATCH = """
import os, sys
with open(sys.argv[1], "r+b") as file:
    file.write(os.urandom(os.stat(sys.argv[1]).st_size))
"""


def scratch(path: Path) -> None:
    """Write nonsense over a file; in a process of its own: closing it here frees SQLite's lock."""
    subprocess.run([sys.executable, "-c", SCRATCH, str(path)], check=True)


@pytest.mark.parametrize("content", [b"not a database, but long enough" * 1_000, b"short"])
def test_a_file_that_is_no_spool_is_set_aside_and_kept(folder: Path, content: bytes) -> None:
    (folder / "current").mkdir(parents=True)
    (folder / "current" / "spool.sqlite3").write_bytes(content)
    spool = opened(folder)
    spool.append(entries(b"a"))
    assert bodies(spool) == [b"a"]
    assert spool.status().damaged_files == 1
    spool.close()
    (kept,) = damaged_folders(folder)
    assert (kept / "spool.sqlite3").read_bytes() == content


def test_somebody_elses_database_is_not_written_into(folder: Path) -> None:
    (folder / "current").mkdir(parents=True)
    foreign = sqlite3.connect(folder / "current" / "spool.sqlite3")
    foreign.execute("CREATE TABLE precious (value)")
    foreign.commit()
    foreign.close()
    spool = opened(folder)
    spool.append(entries(b"a"))
    spool.close()
    (kept,) = damaged_folders(folder)
    foreign = sqlite3.connect(kept / "spool.sqlite3")
    assert foreign.execute("SELECT name FROM sqlite_schema").fetchall() == [("precious",)]
    foreign.close()


def test_an_unfinished_beginning_is_finished(folder: Path) -> None:
    (folder / "current").mkdir(parents=True)
    (folder / "current" / "spool.sqlite3").touch()
    spool = opened(folder)
    spool.append(entries(b"a"))
    assert damaged_folders(folder) == []
    spool.close()


def test_damage_that_shows_while_it_runs_stops_nothing(folder: Path) -> None:
    spool, other = opened(folder), opened(folder)
    for _ in range(20):
        spool.append(entries(os.urandom(100_000)))
    old_id = spool.spool_id
    spool._perform(lambda file: file.empty_wal())
    scratch(folder / "current" / "spool.sqlite3")
    other.append(entries(b"after"))
    assert other.spool_id != old_id
    # Whoever has the damaged file open still goes over to the new one.
    spool.append(entries(b"from the first"))
    assert bodies(other) == bodies(spool) == [b"after", b"from the first"]
    assert other.status().damaged_files == 1
    spool.close()
    other.close()


def test_whoever_closes_a_damaged_file_late_leaves_the_new_ones_log_alone(folder: Path) -> None:
    spool, late = opened(folder), opened(folder)
    late.append(entries(os.urandom(1_000_000)))
    late._perform(lambda file: file.empty_wal())
    scratch(folder / "current" / "spool.sqlite3")
    spool.append(entries(b"after"))
    late.close()  # SQLite removes the log, by its name, when the last one leaves
    assert (folder / "current" / "spool.sqlite3-wal").stat().st_size > 0
    reader = opened(folder)
    assert bodies(reader) == [b"after"]
    reader.close()
    spool.close()


APPENDS = """
import sys
from pathlib import Path
from api.collector.spool import Spool, SpoolEntry
spool = Spool.open(Path(sys.argv[1]), max_bytes=100_000_000, min_free_bytes=0)
while True:
    for _ in range(20):
        spool.append([SpoolEntry(b"body", events=1)])
    print(flush=True)
"""


def test_a_damaged_file_is_set_aside_though_others_append_without_a_pause(folder: Path) -> None:
    spool = opened(folder)
    command = [sys.executable, "-c", APPENDS, str(folder)]
    others = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)]
    for other in others:
        assert other.stdout is not None and other.stdout.readline()
    try:
        for _ in range(5):
            with spool._use.alone():
                pass
    finally:
        for other in others:
            other.kill()
            other.communicate()
    spool.close()


def test_an_append_does_not_wait_for_whoever_reads(folder: Path) -> None:
    spool = opened(folder, max_bytes=100 * MEGABYTE)
    spool.append(entries(b"first"))
    reader = sqlite3.connect(folder / "current" / "spool.sqlite3", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM entries").fetchall()
    began = time.monotonic()
    for _ in range(30):
        spool.append(entries(os.urandom(MEGABYTE)))
    assert time.monotonic() - began < 10, "it waited for a reader who does not end"
    assert spool.status().entries == 31
    reader.close()
    spool.close()


KILLED_WHILE_IT_MOVES = """
import os, sys
from pathlib import Path
from api.collector.spool import Spool
spool = Spool.open(Path(sys.argv[1]), max_bytes=100_000_000, min_free_bytes=0)
rename = Path.rename
def rename_and_die(path, target):
    rename(path, target)
    os._exit(9)
Path.rename = rename_and_die
spool._perform(lambda file: file.set_aside(OSError("as if it were damaged")))
"""


def test_a_move_that_is_broken_off_takes_nothing_from_whoever_goes_on(folder: Path) -> None:
    spool = opened(folder)
    spool.append(entries(b"0 before"))
    moving = subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_MOVES, str(folder)], cwd=ROOT)
    assert moving.returncode == 9
    spool.append(entries(b"1 after"))
    other = opened(folder)
    other.append(entries(b"2 another's"))
    spool.append(entries(b"3 after"))
    spool.close()
    assert set(replayed(other, at_once=MEGABYTE)) == {0, 1, 2, 3}
    assert other.status().damaged_files == 0
    other.close()


@pytest.mark.parametrize("moved", [(), ("-shm",), ("-shm", "-wal")])
def test_what_an_older_release_kept_is_gone_on_with(
    folder: Path, tmp_path: Path, moved: tuple[str, ...]
) -> None:
    spool = filled(folder)
    older = tmp_path / "older"
    shutil.copytree(folder / "current", older)
    spool.close()
    if moved:  # and then it was broken off
        (older / "older").mkdir()
    for ending in moved:
        name = f"spool.sqlite3{ending}"
        (older / name).rename(older / "older" / name)
    spool = opened(older)
    assert replayed(spool, at_once=MEGABYTE) == list(range(300))
    spool.close()
    assert not list(older.glob("spool.sqlite3*"))


def test_what_an_older_release_kept_since_is_rescued(folder: Path, tmp_path: Path) -> None:
    older = filled(tmp_path / "older")
    spool = opened(folder)
    spool.append(entries(b"300 new"))
    spool.close()
    shutil.copytree(tmp_path / "older" / "current", folder, dirs_exist_ok=True)
    older.close()
    spool = opened(folder)
    assert replayed(spool, at_once=MEGABYTE) == [300, *range(300)]
    assert spool.status().damaged_files == 0
    spool.close()


SCRATCH_PAGES = """
import os, sys
with open(sys.argv[1], "r+b") as file:
    for place in sys.argv[2:]:
        file.seek(int(place))
        file.write(os.urandom(16384))
"""


@pytest.mark.parametrize(
    ("size", "many", "places", "most_lost"),
    [
        (500, 3_000, (0.5,), 40),
        (500, 3_000, (0.2, 0.21, 0.5, 0.8), 160),
        (40_000, 200, (0.3, 0.6), 4),
    ],
)
def test_what_can_be_read_of_a_damaged_file_is_queued_again(
    folder: Path, size: int, many: int, places: tuple[float, ...], most_lost: int
) -> None:
    spool = opened(folder)
    for start in range(0, many, 100):
        numbers = range(start, min(many, start + 100))
        spool.append(entries(*[b"%d " % n + os.urandom(size) for n in numbers]))
    spool.close()
    path = folder / "current" / "spool.sqlite3"
    pages = path.stat().st_size // 16_384
    offsets = [str(int(pages * place) * 16_384) for place in places]
    subprocess.run([sys.executable, "-c", SCRATCH_PAGES, str(path), *offsets], check=True)
    spool = opened(folder)
    intact = [s for s in all_of(spool) if s.is_intact]
    if not intact:
        assert spool.status().damaged_files == 1
        rescue_all(spool)
        intact = all_of(spool)
    found = [int(s.entry.body.split(b" ", 1)[0]) for s in intact]
    assert found == sorted(set(found)), "in order"
    assert many - most_lost <= len(found) < many
    assert len(list(folder.glob("unreadable-*"))) == spool.status().damaged_files
    spool.close()


def leaf_page(generator: random.Random) -> bytes:
    """A page that SQLite takes for one of a table's, and whose rows are noise."""
    page, cells = bytearray(generator.randbytes(PAGE)), generator.choice((1, 5, 30, 100))
    page[0:8] = struct.pack(">BHHHB", 13, 0, cells, 8 + 2 * cells + generator.randrange(2000), 0)
    for place in range(8, 8 + 2 * cells, 2):
        page[place : place + 2] = generator.randrange(8 + 2 * cells, PAGE - 4).to_bytes(2, "big")
    return bytes(page)


def flipped(page: bytes, generator: random.Random) -> bytes:
    """A page of which bits have changed, most of them in its head."""
    changed = bytearray(page)
    for _ in range(20):
        most = generator.choice((200, PAGE))
        changed[generator.randrange(most)] ^= 1 << generator.randrange(8)
    return bytes(changed)


def replayed(spool: Spool, *, at_once: int) -> list[int]:
    """What comes out when everything is replayed that can be, a damaged file's last."""
    found = []
    for _ in range(5_000):
        run = spool.first(max_bytes=at_once)
        if run and not run[0].is_intact:
            spool.set_aside(run[0], reason="its bytes have changed")
        elif run:
            intact = list(takewhile(lambda stored: stored.is_intact, run))
            found += [int(stored.entry.body.split(b" ", 1)[0]) for stored in intact]
            spool.forget_through(intact[-1].number, spool_id=intact[-1].spool_id)
        elif not spool.rescue():
            return found
    raise AssertionError("there is no end to it")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["leaf", "flipped", "misplaced"])
def test_a_page_that_passes_for_one_of_the_files_own_takes_only_its_entries_along(
    folder: Path, kind: str, seed: int
) -> None:
    generator, many = random.Random(seed), 1_000
    spool = opened(folder)
    for start in range(0, many, 100):
        numbers = range(start, start + 100)
        spool.append(entries(*[b"%d " % n + generator.randbytes(500) for n in numbers]))
    spool.close()
    path = folder / "current" / "spool.sqlite3"
    content = bytearray(path.read_bytes())
    page, other = (generator.randrange(4, len(content) // PAGE) * PAGE for _ in range(2))
    content[page : page + PAGE] = {
        "leaf": leaf_page(generator),
        "flipped": flipped(bytes(content[page : page + PAGE]), generator),
        "misplaced": content[other : other + PAGE],
    }[kind]
    path.write_bytes(content)
    spool = opened(folder)
    found = set(replayed(spool, at_once=generator.choice((1_000, 20_000, 10 * MEGABYTE))))
    # SQLite moves entries about between a page and the next ones: some more may go with it.
    assert len(found) >= many - (80 if kind != "misplaced" else 400)
    assert len(found) == many or spool.status().damaged_files + spool.status().set_aside_entries
    spool.close()


def test_a_body_that_passes_for_text_comes_out_as_it_is(spool: Spool) -> None:
    spool.append(entries(b"\xff\xfe, and no text"))
    spool._perform(
        lambda file: file.connection.execute("UPDATE entries SET body = CAST(body AS TEXT)")
    )
    (stored,) = all_of(spool)
    assert stored.is_intact and stored.entry.body == b"\xff\xfe, and no text"


def test_what_no_entry_has_in_it_is_damage(spool: Spool) -> None:
    spool.append(entries(b"a", b"b"))
    spool._perform(
        lambda file: file.connection.execute("UPDATE entries SET appended_at = 1e300 LIMIT 1")
    )
    assert all_of(spool) == []
    rescue_all(spool)
    assert bodies(spool) == [b"a", b"b"]


def damaged(folder: Path, change: Callable[[bytearray], None], *, ending: str = "") -> None:
    path = folder / "current" / f"spool.sqlite3{ending}"
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def filled(folder: Path, many: int = 300) -> Spool:
    spool = opened(folder)
    spool.append(entries(*[b"%d " % n + b"x" * 500 for n in range(many)]))
    return spool


def leaf_of(content: bytearray, least: int = 20) -> int:
    """Where the first page with so many rows begins."""
    return next(
        place
        for place in range(3 * PAGE, len(content), PAGE)
        if content[place] == 13 and int.from_bytes(content[place + 3 : place + 5], "big") >= least
    )


def test_what_was_set_aside_is_taken_back_once_on_a_damaged_page(folder: Path) -> None:
    spool = opened(folder)
    spool.append(entries(b"0 a", b"1 b", b"2 c", b"3 d", b"4 e"))
    for stored in all_of(spool)[:3]:
        spool.set_aside(stored, reason="no intake")
    spool.close()

    def swap(content: bytearray) -> None:
        page = content.rfind(b"no intake") // PAGE * PAGE
        first, second = slice(page + 8, page + 10), slice(page + 10, page + 12)
        content[first], content[second] = content[second], content[first]

    damaged(folder, swap)
    spool = opened(folder)
    spool.take_back_set_aside()
    assert set(replayed(spool, at_once=MEGABYTE)) >= {1, 2, 3, 4}
    assert (spool.status().entries, spool.status().damaged_files) == (0, 1)
    spool.close()


def flip(text: bytes) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        place = content.find(text)
        content[place] ^= 0x40

    return change


def write(place: int, value: int) -> Callable[[bytearray], None]:
    return lambda content: content.__setitem__(place, value)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: flip(b"body BLOB")(content),
        lambda content: flip(b"spool_id TEXT")(content),
        write(18, 3),
        write(19, 3),
        write(47, 5),
        write(0, 0),
    ],
    ids=["a column", "the id's", "written by a later one", "read by one", "schema", "no database"],
)
def test_a_file_that_sqlite_does_not_understand_any_more_is_set_aside(
    folder: Path, change: Callable[[bytearray], None]
) -> None:
    filled(folder).close()
    damaged(folder, change)
    spool = opened(folder)
    assert spool.first(max_bytes=1) == []
    spool.append(entries(b"301 new"))
    assert spool.status().damaged_files == 1
    assert 301 in replayed(spool, at_once=MEGABYTE)
    spool.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE spool SET spool_id = 'none'",
        "UPDATE spool SET filling_since = 'x'",
        "DELETE FROM spool",
        "UPDATE entries SET appended_at = 1e300 LIMIT 1",
        "UPDATE sqlite_sequence SET seq = seq | (1 << 62)",
    ],
)
def test_what_the_file_says_of_itself_may_be_damaged(folder: Path, statement: str) -> None:
    spool = filled(folder)
    spool._perform(lambda file: file.connection.execute(statement))
    spool.close()
    spool = opened(folder)
    assert spool.status().entries in (0, 300)
    spool.append(entries(b"300 new"))
    assert set(replayed(spool, at_once=MEGABYTE)) == set(range(301))
    assert spool.status().entries == 0
    spool.close()


def test_rows_that_a_page_does_not_show_any_more_are_told(folder: Path) -> None:
    filled(folder).close()

    def hide(content: bytearray) -> None:
        content[leaf_of(content) + 4] ^= 16  # one bit of how many there are

    damaged(folder, hide)
    spool = opened(folder)
    found = replayed(spool, at_once=MEGABYTE)
    assert len(found) < 300
    assert spool.status().damaged_files == 1
    spool.close()


@pytest.mark.parametrize("how", [lambda path: os.truncate(path, 0), os.unlink])
def test_a_log_without_its_file_is_kept_and_told(
    folder: Path, tmp_path: Path, how: Callable[[Path], None]
) -> None:
    spool = filled(folder)
    killed = tmp_path / "killed"
    shutil.copytree(folder, killed)  # as a process leaves it that is killed
    spool.close()
    how(killed / "current" / "spool.sqlite3")
    spool = opened(killed)
    assert replayed(spool, at_once=MEGABYTE) == []
    assert spool.status().damaged_files == 1
    assert len(list(killed.glob("unreadable-*/spool.sqlite3-wal"))) == 1
    spool.close()


def last_but_one_end(log: bytes | bytearray) -> slice:
    """Where the frame stands that ends the last transaction but one."""
    frames = [slice(at, at + PAGE + 24) for at in range(32, len(log), PAGE + 24)]
    return [frame for frame in frames if any(log[frame.start + 4 : frame.start + 8])][-2]


def around_end(frame: slice) -> tuple[int, int]:
    return frame.stop - 200, frame.stop + 200


def sums_of(frame: slice) -> tuple[int, int]:
    return frame.start + 16, frame.start + 24


@pytest.mark.parametrize(
    ("damage", "is_lost"),
    [
        (lambda log: write(32 + 5 * (PAGE + 24) + 200, 7)(log), True),
        (lambda log: write(32 + 5 * (PAGE + 24) + 10, 7)(log), True),
        (lambda log: write(9, 7)(log), True),
        (lambda log: write(17, log[17] ^ 1)(log), True),
        (lambda log: log.__setitem__(slice(0, 512), bytes(512)), True),
        (lambda log: log.__setitem__(last_but_one_end(log), bytes(PAGE + 24)), True),
        (lambda log: log.__setitem__(slice(*sums_of(last_but_one_end(log))), b"damaged!"), True),
        (lambda log: log.__setitem__(slice(*around_end(last_but_one_end(log))), bytes(400)), True),
        # Of the last transaction, which nobody may have been told of.
        (lambda log: write(len(log) - 200, 7)(log), False),
        (lambda log: log.__delitem__(slice(len(log) - 200, None)), False),
    ],
    ids=[
        "in the middle",
        "in a frame's head",
        "in its size of a page",
        "in its salt",
        "its first sector",
        "the end of the last but one",
        "the checksum of that",
        "there and in what follows",
        "at the end",
        "cut off",
    ],
)
def test_what_a_damaged_log_hides_is_told(
    folder: Path, tmp_path: Path, damage: Callable[[bytearray], None], is_lost: bool
) -> None:
    spool = opened(folder)
    for number in range(50):
        spool.append(entries(b"%d " % number + b"x" * 500))
    killed = tmp_path / "killed"
    shutil.copytree(folder, killed)  # as a process leaves it that is killed
    spool.close()
    (killed / "current" / "spool.sqlite3-shm").unlink()  # a machine's restart
    log = killed / "current" / "spool.sqlite3-wal"
    content = bytearray(log.read_bytes())
    damage(content)
    log.write_bytes(content)
    spool = opened(killed)
    found = replayed(spool, at_once=MEGABYTE)
    assert found == list(range(len(found)))
    assert (len(found) < 49, spool.status().damaged_files) == (is_lost, int(is_lost))
    spool.append(entries(b"50 new"))
    spool.close()
    spool = opened(killed)
    assert replayed(spool, at_once=MEGABYTE) == [50]
    spool.close()


def test_what_is_left_of_commits_that_were_killed_is_no_damage(
    folder: Path, tmp_path: Path
) -> None:
    spool = opened(folder)
    spool.append(entries(b"0 before"))
    logs = []
    for many in (20, 6, 1):  # each writes over the one before it, and has its end
        killed = tmp_path / f"killed-{many}"
        shutil.copytree(folder, killed)
        one = opened(killed)
        one.append(entries(*[b"%d " % n + os.urandom(20_000) for n in range(1, many + 1)]))
        logs.append((killed / "current" / "spool.sqlite3-wal").read_bytes())
        shutil.copytree(killed, tmp_path / "last", dirs_exist_ok=True)
        one.close()
    spool.close()
    longest, longer, last = logs
    left = last + longer[len(last) :] + longest[len(longer) :]
    (tmp_path / "last" / "current" / "spool.sqlite3-wal").write_bytes(left)
    (tmp_path / "last" / "current" / "spool.sqlite3-shm").unlink()
    spool = opened(tmp_path / "last")
    assert replayed(spool, at_once=MEGABYTE) == [0, 1]
    assert spool.status().damaged_files == 0
    spool.close()


def test_what_a_log_hides_is_told_though_most_of_it_is_older(folder: Path, tmp_path: Path) -> None:
    spool = opened(folder)
    spool.append(entries(*[b"%d " % number + b"x" * 20_000 for number in range(100)]))
    checkpoint = "PRAGMA wal_checkpoint(RESTART)"
    spool._perform(lambda file: file.connection.execute(checkpoint).fetchall())
    for number in range(100, 110):
        spool.append(entries(b"%d " % number + b"x" * 500))
    killed = tmp_path / "killed"
    shutil.copytree(folder, killed)
    spool.close()
    (killed / "current" / "spool.sqlite3-shm").unlink()
    damaged(killed, write(17, 7), ending="-wal")
    spool = opened(killed)
    assert replayed(spool, at_once=MEGABYTE) == list(range(100))
    assert spool.status().damaged_files == 1
    spool.close()


def killed_with_a_damaged_log(
    folder: Path, tmp_path: Path, *, many: int, frame: int, written_back: bool
) -> Path:
    spool = opened(folder)
    for number in range(many):
        spool.append(entries(b"%d " % number + b"x" * 500))
    if written_back:  # as a commit does that makes the log too long
        checkpoint = "PRAGMA wal_checkpoint(PASSIVE)"
        spool._perform(lambda file: file.connection.execute(checkpoint).fetchall())
    killed = tmp_path / "killed"
    shutil.copytree(folder, killed)
    spool.close()
    (killed / "current" / "spool.sqlite3-shm").unlink()
    log = killed / "current" / "spool.sqlite3-wal"
    content = bytearray(log.read_bytes())
    write(32 + frame * (PAGE + 24) + 200, 7)(content)
    log.write_bytes(content)
    return killed


@pytest.mark.parametrize("frame", [3, 20, 100])
def test_a_damaged_log_takes_nothing_from_a_file_that_has_it_all(
    folder: Path, tmp_path: Path, frame: int
) -> None:
    killed = killed_with_a_damaged_log(folder, tmp_path, many=200, frame=frame, written_back=True)
    spool = opened(killed)
    assert replayed(spool, at_once=MEGABYTE) == list(range(200))
    assert spool.status().damaged_files == 1, "nobody can tell that this was all"
    spool.close()


def test_whoever_looks_at_the_file_meanwhile_takes_nothing_of_what_comes_later(
    folder: Path, tmp_path: Path
) -> None:
    killed = killed_with_a_damaged_log(folder, tmp_path, many=50, frame=70, written_back=False)
    somebody = sqlite3.connect(killed / "current" / "spool.sqlite3")
    somebody.execute("SELECT count(*) FROM entries").fetchall()
    spool = opened(killed)
    for number in range(50, 80):
        spool.append(entries(b"%d new" % number))
    spool.close()
    somebody.close()  # SQLite writes its log back then, by its name
    spool = opened(killed)
    assert set(range(50, 80)) <= set(replayed(spool, at_once=MEGABYTE))
    spool.close()


def test_a_name_that_is_no_text_any_more_ends_no_rescue(folder: Path) -> None:
    filled(folder).close()
    damaged(folder, lambda content: write(content.index(b"tableentriesentries") + 6, 0xFF)(content))
    spool = opened(folder)
    spool.append(entries(b"300 new"))
    assert 300 in replayed(spool, at_once=MEGABYTE)
    assert not list(folder.glob("damaged-*"))
    spool.close()


def test_a_file_and_a_log_without_their_heads_are_set_aside(folder: Path, tmp_path: Path) -> None:
    killed = killed_with_a_damaged_log(folder, tmp_path, many=50, frame=5, written_back=False)
    for ending in ("", "-wal"):
        with (killed / "current" / f"spool.sqlite3{ending}").open("r+b") as file:
            file.write(b"\x07" * 512)
    spool = opened(killed)
    rescue_all(spool)
    assert spool.status().damaged_files == 1
    spool.close()


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%41b"])
def test_a_folder_may_be_called_as_it_likes(tmp_path: Path, name: str) -> None:
    spool = filled(tmp_path / name)
    spool._perform(lambda file: file.set_aside(OSError("as if it were damaged")))
    assert set(replayed(spool, at_once=MEGABYTE)) == set(range(300))
    assert spool.status().damaged_files == 0
    spool.close()


def test_a_rescue_waits_until_the_log_can_be_read(folder: Path) -> None:
    spool = filled(folder)
    spool._perform(lambda file: file.set_aside(OSError("as if it were damaged")))
    (aside,) = folder.glob("damaged-*")
    log = aside / "spool.sqlite3-wal"
    log.rename(aside / "away")
    log.mkdir()
    for _ in range(3):
        with pytest.raises(SpoolBroken):
            rescue_all(spool)
    log.rmdir()
    (aside / "away").rename(log)
    assert replayed(spool, at_once=MEGABYTE) == list(range(300))
    assert spool.status().damaged_files == 0
    spool.close()


def test_a_log_that_the_disk_does_not_read_costs_no_more_than_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_MOST_FAILED_RESCUES", 2)
    spool = filled(folder)
    spool._perform(lambda file: file.empty_wal())
    spool._perform(lambda file: file.set_aside(OSError("as if it were damaged")))
    (aside,) = folder.glob("damaged-*")
    log = aside / "spool.sqlite3-wal"
    log.unlink(missing_ok=True)
    log.mkdir()
    for _ in range(2):
        with pytest.raises(SpoolBroken):
            rescue_all(spool)
    assert set(replayed(spool, at_once=MEGABYTE)) == set(range(300))
    assert spool.status().damaged_files == 1
    spool.close()


def test_what_the_log_forgets_does_not_come_back_with_a_damaged_page(
    folder: Path, tmp_path: Path
) -> None:
    spool = opened(folder)
    for start in range(0, 300, 10):
        spool.append(entries(*[b"%d " % n + b"x" * 9_000 for n in range(start, start + 10)]))
    spool._perform(lambda file: file.empty_wal())
    last = all_of(spool)[149]
    spool.forget_through(last.number, spool_id=last.spool_id)
    killed = tmp_path / "killed"
    shutil.copytree(folder, killed)
    spool.close()
    content = bytearray((killed / "current" / "spool.sqlite3").read_bytes())
    page = content.rindex(b"290 xxx") // PAGE
    content[page * PAGE : page * PAGE + 200] = bytes(200)
    (killed / "current" / "spool.sqlite3").write_bytes(content)
    spool = opened(killed)
    found = replayed(spool, at_once=MEGABYTE)
    assert len(found) >= 145 and min(found) == 150
    spool.close()


def test_what_is_set_aside_in_the_log_is_rescued_once(folder: Path, tmp_path: Path) -> None:
    spool = opened(folder)
    spool.append(entries(*[b"%d " % n + b"x" * 500 for n in range(60)]))
    spool._perform(lambda file: file.empty_wal())
    for stored in all_of(spool)[:5]:
        spool.set_aside(stored, reason="no intake")
    for number in range(60, 70):
        spool.append(entries(b"%d " % number + b"x" * 500))
    killed = tmp_path / "killed"
    shutil.copytree(folder, killed)
    spool.close()
    log = killed / "current" / "spool.sqlite3-wal"
    content = bytearray(log.read_bytes())
    write(len(content) - 12 * (PAGE + 24) + 200, 7)(content)
    log.write_bytes(content)
    (killed / "current" / "spool.sqlite3-shm").unlink()
    spool = opened(killed)
    found = replayed(spool, at_once=MEGABYTE)
    assert spool.status().damaged_files == 1
    assert len(found) == len(set(found))
    assert set(range(60)) <= set(found)
    spool.close()


OPENS_AND_CLOSES = """
import os, sys
from pathlib import Path
from api.collector.spool import Spool, SpoolEntry
for _ in range(60):
    spool = Spool.open(Path(sys.argv[1]), max_bytes=100_000_000, min_free_bytes=0)
    for _ in range(1 + os.getpid() % 7):
        spool.append([SpoolEntry(b"0 body", events=1)])
    spool.close()
print(60 * (1 + os.getpid() % 7))
"""


def test_who_comes_while_another_goes_takes_no_healthy_file_for_damaged(folder: Path) -> None:
    command = [sys.executable, "-c", OPENS_AND_CLOSES, str(folder)]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    appended = sum(int(one.communicate()[0]) for one in both)
    spool = opened(folder)
    assert (spool.status().entries, spool.status().damaged_files) == (appended, 0)
    spool.close()


def test_a_file_whose_totals_are_gone_too_is_not_said_to_be_rescued(folder: Path) -> None:
    spool = filled(folder)
    spool._perform(lambda file: file.empty_wal())
    spool._perform(lambda file: file.connection.execute("UPDATE spool SET spool_id = ''"))
    spool._perform(lambda file: file.connection.execute("DELETE FROM entries"))
    spool._perform(
        lambda file: file.connection.execute("UPDATE spool SET entries = 0, events = 0, bytes = 0")
    )
    spool._perform(lambda file: file.set_aside(OSError("as if it were damaged")))
    rescue_all(spool)
    assert spool.status().damaged_files == 1
    spool.close()


def test_a_move_that_was_broken_off_holds_up_no_other_rescue(folder: Path) -> None:
    spool = filled(folder)
    spool._perform(lambda file: file.empty_wal())
    half = folder / "damaged-20260101T000000Z-aaaa"
    half.mkdir()
    (half / "spool.sqlite3-wal").write_bytes(b"a log")
    spool._perform(lambda file: file.set_aside(OSError("as if it were damaged")))
    assert set(replayed(spool, at_once=MEGABYTE)) == set(range(300))
    assert spool.status().damaged_files == 1
    spool.close()


def test_a_file_of_which_nothing_is_missing_is_no_longer_told(folder: Path) -> None:
    spool = opened(folder)
    doubtful = SpoolEntry(b"b", events=5, in_doubt=InDoubt(1, 2))
    spool.append([SpoolEntry(b"a", 1), doubtful, SpoolEntry(b"c", 1)])
    spool.set_aside(all_of(spool)[0], reason="no intake")
    spool._perform(lambda file: file.set_aside(OSError("as if it were damaged")))
    assert bodies(spool) == []
    rescue_all(spool)
    assert [s.entry for s in all_of(spool)] == [doubtful, *entries(b"c", b"a")]
    assert spool.status().damaged_files == 0
    assert len(list(folder.glob("rescued-*"))) == 1
    spool.close()


def full_and_set_aside(folder: Path, *, max_bytes: int, size: int) -> tuple[Spool, int]:
    """A spool after one that was full to its bound, and how many entries that had."""
    spool, many = opened(folder, max_bytes=max_bytes), 0
    with suppress(SpoolFull):
        while True:
            spool.append(entries(b"%d " % many + os.urandom(size)))
            many += 1
    spool._perform(lambda file: file.set_aside(OSError("as if it were damaged")))
    return spool, many


@pytest.mark.parametrize(("max_bytes", "size"), [(2, 2_000), (2, 60_000), (10, 100_000)])
def test_a_file_that_was_full_is_rescued_whole_and_each_entry_once(
    folder: Path, max_bytes: int, size: int
) -> None:
    spool, many = full_and_set_aside(folder, max_bytes=max_bytes * MEGABYTE, size=size)
    assert replayed(spool, at_once=MEGABYTE) == list(range(many))
    assert spool.status().damaged_files == 0
    assert size_on_disk(folder) <= max_bytes * MEGABYTE
    spool.close()


def test_a_rescue_waits_for_room_and_goes_on(folder: Path) -> None:
    spool, many = full_and_set_aside(folder, max_bytes=10 * MEGABYTE, size=100_000)
    new = range(many, many + 30)
    spool.append(entries(*[b"%d " % number + os.urandom(100_000) for number in new]))
    with pytest.raises(SpoolFull):
        rescue_all(spool)  # nobody replays meanwhile
    assert spool.status().entries > 30
    assert replayed(spool, at_once=MEGABYTE) == [*new, *range(many)]
    spool.close()


def test_a_rescue_that_was_broken_off_queues_nothing_twice(folder: Path) -> None:
    spool, many = full_and_set_aside(folder, max_bytes=10 * MEGABYTE, size=100_000)
    found = []
    while spool.rescue():
        found += [int(body.split(b" ", 1)[0]) for body in bodies(spool)]
        spool.forget_through(all_of(spool)[-1].number, spool_id=spool.spool_id)
        spool.close()
        spool = opened(folder, max_bytes=10 * MEGABYTE)
        if len(found) == many:
            break
    rescue_all(spool)
    assert found == list(range(many))
    assert (spool.status().entries, spool.status().damaged_files) == (0, 0)
    spool.close()


@pytest.mark.parametrize(
    ("column", "value", "is_lost"),
    [
        ("appended_at", "1e17", False),
        ("appended_at", "-1e17", False),
        ("appended_at", "'text'", False),
        ("in_doubt_writer", "'text'", True),
        ("in_doubt_xid", "x'00'", True),
    ],
)
def test_a_column_that_no_entry_can_have_stops_no_replay(
    folder: Path, column: str, value: str, is_lost: bool
) -> None:
    spool = filled(folder)
    change = f"UPDATE entries SET {column} = {value} WHERE number % 100 = 0"
    spool._perform(lambda file: file.connection.execute(change))
    found = replayed(spool, at_once=MEGABYTE)
    assert found == sorted(set(found))
    assert (len(found), spool.status().damaged_files) == (297 if is_lost else 300, int(is_lost))
    spool.close()


def test_a_file_of_which_nothing_can_be_read_stays_told(folder: Path) -> None:
    (folder / "current").mkdir(parents=True)
    (folder / "current" / "spool.sqlite3").write_bytes(b"not a database, but long enough" * 1_000)
    spool = opened(folder)
    rescue_all(spool)
    assert spool.status().damaged_files == 1
    spool.close()


def test_a_file_that_somebody_mended_is_gone_on_with(folder: Path) -> None:
    spool = opened(folder)
    spool.append(entries(b"a", b"b"))
    spool_id = spool.spool_id
    spool.close()
    mended = sqlite3.connect(folder / "current" / "spool.sqlite3", isolation_level=None)
    mended.execute("PRAGMA journal_mode = DELETE")
    mended.execute("PRAGMA page_size = 4096")
    mended.execute("VACUUM")
    mended.close()
    spool = opened(folder, max_bytes=8 * MEGABYTE)
    assert spool.spool_id == spool_id
    with suppress(SpoolFull):
        while True:
            spool.append(entries(os.urandom(100_000)))
    assert 5 * MEGABYTE < size_on_disk(folder) <= 8 * MEGABYTE + 32_768
    assert bodies(spool)[:2] == [b"a", b"b"]
    spool.close()


def test_a_body_that_changed_on_the_disk_is_told(folder: Path) -> None:
    spool = opened(folder)
    body = os.urandom(2_000_000)
    spool.append(entries(b"before", body, b"after"))
    spool.close()
    path = folder / "current" / "spool.sqlite3"
    content = bytearray(path.read_bytes())
    where = content.find(body[1_000_000:1_000_100])
    content[where] ^= 1
    path.write_bytes(content)
    spool = opened(folder)
    assert [s.is_intact for s in all_of(spool)] == [True, False, True]
    spool.close()
