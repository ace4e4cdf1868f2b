"""Where an address is, by a database in MaxMind's format: GeoLite2, DB-IP lite, IPinfo and such."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from itertools import islice
from pathlib import Path
from shutil import copyfile
from tempfile import NamedTemporaryFile
from typing import Any, Final, NamedTuple

import maxminddb

log = logging.getLogger("sluice.collector")


class Place(NamedTuple):
    """ISO 3166-1 alpha-2, and the subdivision's part of ISO 3166-2; None is not known."""

    country: str | None
    region: str | None


class GeoDatabaseError(Exception):
    """The database cannot be read, or holds no places; the message says what to do."""


_NOWHERE: Final = Place(None, None)


def nowhere(_: str) -> Place:
    """Where every address is without a database."""
    return _NOWHERE


_CACHED_ADDRESSES: Final = 20_000
_CHECKED_RECORDS: Final = 1_000

_Lookup = Callable[[str], Place]
_Version = tuple[int, int, int]


class GeoReader:
    """Tells places, and follows the file when it is replaced."""

    def __init__(self, path: Path | None, version: _Version | None, lookup: _Lookup) -> None:
        self._path, self._version, self._lookup = path, version, lookup

    @classmethod
    def open(cls, path: Path | None) -> GeoReader:
        """Without a path every place is unknown; raises GeoDatabaseError."""
        if path is None:
            return cls(None, None, nowhere)
        return cls(path, _version_of(path), _load(path))

    def locate(self, ip: str) -> Place:
        """Where an address is; for one that is private, unknown or none at all, nowhere."""
        return self._lookup(ip)

    def reload_if_replaced(self) -> bool:
        """Take up a new file; one that cannot be read is logged, and the old one stays in use.

        Reads the whole file: not for the event loop.
        """
        if self._path is None or (version := _version_of(self._path)) == self._version:
            return False
        self._version = version  # a bad file is refused once, not every minute
        try:
            self._lookup = _load(self._path)
        except GeoDatabaseError as exc:
            log.warning("new geo database refused, the old one stays", extra={"error": str(exc)})
            return False
        log.info("geo database reloaded", extra={"path": str(self._path)})
        return True

    async def keep_fresh(self, *, every_seconds: float = 60) -> None:
        """Look again and again whether the file was replaced; for ever."""
        while self._path is not None:
            await asyncio.sleep(every_seconds)
            try:
                await asyncio.to_thread(self.reload_if_replaced)
            except Exception:
                log.exception("geo database not reloaded")


def _load(path: Path) -> _Lookup:
    try:
        return _cached_lookup(_open_copy(path))
    except Exception as exc:  # of a damaged file the reader raises whatever it stumbles over
        raise GeoDatabaseError(
            f"The geo database {path} cannot be used: {exc}. Put a GeoLite2 or DB-IP file of "
            "cities or countries there (.mmdb, unpacked), or leave the setting empty to store no "
            "country and no region."
        ) from exc


def _version_of(path: Path) -> _Version | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _open_copy(path: Path) -> maxminddb.Reader:
    # The reader maps its file into memory. If somebody writes into that very file, as `cp` and
    # `curl -o` do, it reads nonsense or the process dies of SIGBUS: so it gets one of its own.
    with NamedTemporaryFile(prefix="sluice-geo-") as private:
        copyfile(path, private.name)
        # The reader in C, twice as fast, ends the process where a file is damaged: the one in
        # Python goes first.
        with maxminddb.open_database(private.name, maxminddb.MODE_MMAP) as database:
            _check(database)
        return maxminddb.open_database(private.name)


def _check(database: maxminddb.Reader) -> None:
    places = [_read_place(record) for _, record in islice(database, _CHECKED_RECORDS)]
    if not any(place.country for place in places):
        raise ValueError(f"it knows no countries, it is a {database.metadata().database_type}")


def _cached_lookup(database: maxminddb.Reader) -> _Lookup:
    holds_ipv6 = database.metadata().ip_version == 6

    @lru_cache(maxsize=_CACHED_ADDRESSES)
    def locate(ip: str) -> Place:
        try:
            address = ip_address(ip)
            if isinstance(address, IPv6Address):
                if address.ipv4_mapped is not None:
                    address = address.ipv4_mapped
                elif not holds_ipv6:
                    return _NOWHERE
            return _read_place(database.get(address))
        except Exception:  # of a damaged file the reader raises whatever it stumbles over
            return _NOWHERE

    return locate


def _read_place(record: Any) -> Place:
    """`country` is a map with `iso_code` at MaxMind and DB-IP, the code itself in flat files."""
    if not isinstance(record, dict):
        return _NOWHERE
    country = record.get("country", record.get("country_code"))
    code = country.get("iso_code") if isinstance(country, dict) else country
    if not isinstance(code, str) or len(code) != 2 or code == "ZZ":
        return _NOWHERE
    return Place(code, _read_region(record.get("subdivisions")))


def _read_region(subdivisions: Any) -> str | None:
    """The largest subdivision's code; DB-IP's lite files give its name only."""
    if not (isinstance(subdivisions, list) and subdivisions and isinstance(subdivisions[0], dict)):
        return None
    code = subdivisions[0].get("iso_code")
    return code if isinstance(code, str) and 1 <= len(code) <= 3 else None
