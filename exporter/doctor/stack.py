"""The steps that look at everything of a stack but its buckets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from core.clock import Clock, utc_now
from core.promise import EXPORTER_SILENCE
from core.signing import SigningKeyError, read_keys
from database.checkup import has_receipts, read_migration, read_server, read_silence
from database.migrate import newest_migration
from exporter.doctor.check import Check, CheckFailed, CheckSkipped
from exporter.settings import ExporterSettings

T = TypeVar("T")

_TESTED_MAJOR: Final = 18
_MAX_SKEW: Final = timedelta(seconds=10)
_LEAST_FREE_PERCENT: Final = 10


class StackChecks:
    """Database, disk and keys."""

    def __init__(
        self, settings: ExporterSettings, engine: Engine, *, clock: Clock = utc_now
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._clock = clock

    def checks(self) -> list[Check]:
        """In the order in which one needs another."""
        return [
            Check("postgresql", self.reach_server),
            Check("durability", self.ask_for_durability, needs=("postgresql",)),
            Check("postgresql's clock", self.compare_clocks, needs=("postgresql",)),
            Check("migrations", self.compare_migrations, needs=("postgresql",)),
            Check("exporter", self.listen_to_exporter, needs=("migrations",)),
            Check("signing keys", self.look_for_keys),
            Check("disk", self.measure_disk),
        ]

    def reach_server(self) -> str:
        """Connect, and ask for the version."""
        server = self._ask(read_server)
        if server.major < _TESTED_MAJOR:
            raise CheckFailed(
                f"version {server.version}",
                f"Upgrade to {_TESTED_MAJOR}: Sluice is tested with no other.",
            )
        return f"version {server.version}"

    def ask_for_durability(self) -> str:
        """An answer with 200 is a promise that the disk has to keep."""
        server = self._ask(read_server)
        off = [name for name in ("fsync", "full_page_writes") if getattr(server, name) != "on"]
        if off:
            raise CheckFailed(
                f"{' and '.join(off)} is off",
                "Turn it on in postgresql.conf: a power cut would lose what was acknowledged.",
            )
        return "fsync and full_page_writes are on"

    def compare_clocks(self) -> str:
        """PostgreSQL's clock cuts the partitions, this one decides when to seal."""
        apart = abs(self._ask(read_server).now - self._clock())
        seen = f"{apart.total_seconds():.1f} s apart from this machine's"
        if apart > _MAX_SKEW:
            raise CheckFailed(seen, "Have both clocks kept: timedatectl set-ntp true.")
        return seen

    def compare_migrations(self) -> str:
        """The database's schema and this code's."""
        ours, theirs = newest_migration(), self._ask(read_migration)
        if theirs == ours:
            return ours
        if theirs is not None and theirs > ours:
            raise CheckFailed(
                f"the database is at {theirs}, this release at {ours}",
                "This release is older than the database: run the newer one.",
            )
        raise CheckFailed(
            f"the database is at {theirs or 'none'}, this release at {ours}",
            "Run `python -m database`; with compose: docker compose up -d migrate.",
        )

    def listen_to_exporter(self) -> str:
        """Whether the exporter has left its heartbeat."""
        silence = self._ask(read_silence)
        if silence is None:
            raise CheckSkipped("none has run on this database yet")
        seen = f"heard of {silence.total_seconds():.0f} s ago"
        if silence > EXPORTER_SILENCE:
            raise CheckFailed(seen, "Start it, or look into its log for why it does not run.")
        return seen

    def look_for_keys(self) -> str:
        """The keys that sign receipts, the newest of which signs."""
        folder = self._settings.signing_key_dir
        try:
            keys = read_keys(folder)
        except SigningKeyError as exc:
            raise CheckFailed(str(exc), "Restore the folder from its backup.") from exc
        except OSError as exc:
            raise CheckFailed(
                f"{folder} cannot be read: {exc.strerror}",
                "Look as the account that the exporter runs as, and correct SIGNING_KEY_DIR.",
            ) from exc
        if keys:
            return f"{len(keys)}, the last is {keys[-1].key_id}"
        if self._ask_or(has_receipts, default=False):
            raise CheckFailed(
                f"there are none in {folder}, and receipts have been signed",
                "Correct SIGNING_KEY_DIR, or restore the folder from its backup: a new key would"
                " begin a chain that nobody can follow back.",
            )
        raise CheckSkipped(f"none in {folder} yet: the exporter makes the first when it starts")

    def measure_disk(self) -> str:
        """Room where files wait, and where buckets are folders."""
        seen = {self._free(folder) for folder in self._folders()}
        percent, free, folder = min(seen)
        text = f"{free / 1e9:.1f} GB ({percent:.0f} %) free at {folder}"
        if percent < _LEAST_FREE_PERCENT:
            raise CheckFailed(
                text, "Make room: a full disk stops the export, then PostgreSQL, then the intake."
            )
        return text

    def _folders(self) -> list[Path]:
        addresses = (self._settings.client_s3_bucket, self._settings.metering_s3_bucket)
        return [
            self._settings.staging_dir or Path(tempfile.gettempdir()),
            *(Path(unquote(urlsplit(a).path)) for a in addresses if a.startswith("file:")),
        ]

    def _free(self, folder: Path) -> tuple[float, int, str]:
        there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        usage = shutil.disk_usage(there)
        return 100 * usage.free / usage.total, usage.free, str(there)

    def _ask(self, read: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return read(connection)
        except SQLAlchemyError as exc:
            raise CheckFailed(
                _first_line(exc),
                "Is PostgreSQL up, and DATABASE_URL right? `docker compose logs postgres` tells.",
            ) from exc

    def _ask_or(self, read: Callable[[Connection], T], *, default: T) -> T:
        try:
            return self._ask(read)
        except CheckFailed:
            return default


def _first_line(exc: SQLAlchemyError) -> str:
    """Of the driver's message: it names host and account, never the password."""
    return str(getattr(exc, "orig", None) or exc).partition("\n")[0]
