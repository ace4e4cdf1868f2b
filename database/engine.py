"""Build the engine of the exporter, the migrations and the command line."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url


def sync_engine(database_url: str, *, application_name: str) -> Engine:
    """An engine for the exporter, the migrations and the command line."""
    return create_engine(
        make_url(database_url).set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=4,
        connect_args={"application_name": application_name, "connect_timeout": 10},
    )
