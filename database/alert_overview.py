"""What the management routes ask of alerts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

_OPEN = text("""
SELECT condition, subject, message, remedy, begun_at FROM alerts
WHERE ended_at IS NULL ORDER BY begun_at, condition, subject LIMIT 200
""")


async def read_open_alerts(connection: AsyncConnection) -> list[Row[Any]]:
    """Rows of (condition, subject, message, remedy, begun_at)."""
    return list(await connection.execute(_OPEN))
