"""Bring a database to the newest schema."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

log = logging.getLogger(__name__)

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(engine: Engine, *, wait_seconds: float = 60.0, revision: str = "head") -> None:
    """Apply every migration that is missing; safe to run twice, and from several places at once.

    `revision` is the last one to be applied. Waits up to `wait_seconds` for PostgreSQL to answer;
    raises OperationalError after that.
    """
    _wait_until_up(engine, wait_seconds)
    config = _config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def newest_migration() -> str:
    """The revision that `migrate` brings a database to."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def _wait_until_up(engine: Engine, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            log.info("waiting for PostgreSQL")
            time.sleep(0.5)
        else:
            return
