from __future__ import annotations

import asyncio
import logging
import shutil
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.collector import geo
from api.collector.geo import GeoDatabaseError, GeoReader, Place
from tests.conftest import ROOT
from tests.data.make_geo import CITIES, FOLDER

CITY = FOLDER / "geo-test.mmdb"
FLAT = FOLDER / "geo-flat-test.mmdb"
NO_PLACES = FOLDER / "asn-test.mmdb"
NOWHERE = Place(None, None)
READER = GeoReader.open(CITY)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", Place("CH", "ZH")),
        ("192.0.2.200", Place("DE", "BY")),
        ("198.51.100.7", Place("GB", "ENG")),
        ("2001:db8::1", Place("FR", "IDF")),
        ("2001:db8:8000::1", Place("JP", None)),
        ("203.0.113.7", Place("US", None)),
        ("::ffff:192.0.2.1", Place("CH", "ZH")),
        ("203.0.113.200", NOWHERE),
        ("10.0.0.1", NOWHERE),
        ("192.168.1.1", NOWHERE),
        ("127.0.0.1", NOWHERE),
        ("::1", NOWHERE),
        ("fe80::1%eth0", NOWHERE),
        ("fc00::1", NOWHERE),
        ("::ffff:10.0.0.1", NOWHERE),
        ("192.0.2.1:443", NOWHERE),
        ("/run/nginx.sock", NOWHERE),
        ("", NOWHERE),
    ],
)
def test_where_an_address_is(address: str, place: Place) -> None:
    assert READER.locate(address) == place


def test_flat_files_without_ipv6_are_read_too() -> None:
    reader = GeoReader.open(FLAT)
    assert reader.locate("192.0.2.1") == Place("CH", None)
    assert reader.locate("::ffff:198.51.100.1") == Place("GB", None)
    assert reader.locate("2001:db8::1") == NOWHERE


def test_without_a_file_every_place_is_unknown() -> None:
    reader = GeoReader.open(None)
    assert reader.locate("192.0.2.1") == NOWHERE
    assert reader.reload_if_replaced() is False
    asyncio.run(asyncio.wait_for(reader.keep_fresh(), 1))


@given(st.one_of(st.text(max_size=60), st.ip_addresses().map(str)))
def test_whatever_the_address_nothing_is_raised(address: str) -> None:
    assert isinstance(READER.locate(address), Place)


def test_the_committed_file_is_what_the_script_makes() -> None:
    for network, record in CITIES.items():
        country = record.get("country", {}).get("iso_code")
        assert READER.locate(str(ip_network(network)[1])).country == country


@pytest.mark.parametrize("content", [None, b"", b"<html>Not found</html>", b"cut", b"ASN"])
def test_a_file_that_is_none_ends_the_start_with_what_to_do(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "geo.mmdb"
    if content == b"cut":
        path.write_bytes(CITY.read_bytes()[:-200])
    elif content == b"ASN":
        shutil.copy(NO_PLACES, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(GeoDatabaseError) as raised:
        GeoReader.open(path)
    assert str(path) in str(raised.value)
    assert "GeoLite2" in str(raised.value) and "leave the setting empty" in str(raised.value)


READS_A_LOOP = """
import sys
from pathlib import Path
from api.collector.geo import GeoDatabaseError, GeoReader
file, path = bytearray(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2])
for bit in range(0, 320):
    damaged = file.copy()
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(damaged)
    try:
        GeoReader.open(path).locate("192.0.2.1")
    except GeoDatabaseError as exc:
        assert "leave the setting empty" in str(exc)
"""


def test_a_damaged_tree_ends_no_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", READS_A_LOOP, str(FLAT), str(tmp_path / "damaged.mmdb")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(GeoDatabaseError):
        GeoReader.open(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "geo.mmdb"
    shutil.copy(CITY, path)
    return path


def replace(path: Path, source: Path) -> None:
    """As geoipupdate does: a new file takes the place of the old."""
    new = path.with_suffix(".new")
    shutil.copy(source, new)
    new.replace(path)


def test_a_new_file_is_taken_up(path: Path) -> None:
    reader = GeoReader.open(path)
    assert reader.locate("192.0.2.200") == Place("DE", "BY")
    assert reader.reload_if_replaced() is False
    replace(path, FLAT)
    assert reader.locate("192.0.2.200") == Place("DE", "BY"), "before anybody looked"
    assert reader.reload_if_replaced() is True
    assert reader.locate("192.0.2.200") == Place("CH", None)
    assert reader.reload_if_replaced() is False


@pytest.mark.parametrize("broken", ["written over", "cut in place", "removed", "no places"])
def test_a_bad_new_file_keeps_the_old_one_and_says_so_once(
    path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader = GeoReader.open(path)
    match broken:
        case "written over":
            path.write_bytes(b"<html>Not found</html>" * 500)
        case "cut in place":
            path.open("r+b").truncate(10)
        case "removed":
            path.unlink()
        case "no places":
            replace(path, NO_PLACES)
    # Not looked up before: read from the database, not from the cache.
    assert reader.locate("192.0.2.1") == Place("CH", "ZH")
    with caplog.at_level(logging.WARNING):
        assert [reader.reload_if_replaced() for _ in range(3)] == [False] * 3
    assert [r.message for r in caplog.records] == ["new geo database refused, the old one stays"]
    assert reader.locate("192.0.2.200") == Place("DE", "BY")
    replace(path, FLAT)
    assert reader.reload_if_replaced() is True
    assert reader.locate("192.0.2.200") == Place("CH", None)


async def test_it_is_kept_fresh(path: Path) -> None:
    reader = GeoReader.open(path)
    task = asyncio.create_task(reader.keep_fresh(every_seconds=0.01))
    replace(path, FLAT)
    async with asyncio.timeout(10):
        while reader.locate("192.0.2.200").region is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()


def test_the_cache_is_bounded() -> None:
    reader = GeoReader.open(CITY)
    for number in range(geo._CACHED_ADDRESSES + 1_000):
        reader.locate(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    cached = reader._lookup.cache_info()  # type: ignore[attr-defined]
    assert cached.currsize == geo._CACHED_ADDRESSES
