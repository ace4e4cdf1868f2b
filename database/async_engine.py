"""Build the engine of the management routes; apart, since the exporter carries no greenlet."""

from __future__ import annotations

from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


def async_engine(database_url: str, *, application_name: str) -> AsyncEngine:
    """An engine for the management routes; the intake has a connection of its own."""
    return create_async_engine(
        make_url(database_url).set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=2,
        pool_timeout=5,
        connect_args={
            "application_name": application_name,
            "connect_timeout": 5,
            # A status page must never hold a lock or a snapshot for long.
            "options": "-c statement_timeout=10s",
        },
    )
