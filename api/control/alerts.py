"""The alerts that hold now, as `/export/status` shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from database.alert_overview import read_open_alerts


class ActiveAlert(BaseModel):
    """Something that somebody has to look at."""

    condition: Literal[
        "sink_stopped", "lag", "disk_low", "silent_site", "duplicate_spike", "refusal_spike"
    ]
    subject: str = Field(
        description="A sink, a site, a folder; * for too many sites; empty for the stack."
    )
    message: str
    remedy: str
    begun_at: datetime


async def active_alerts(connection: AsyncConnection) -> list[ActiveAlert]:
    """The oldest first."""
    rows = await read_open_alerts(connection)
    return [ActiveAlert.model_validate(dict(row._mapping)) for row in rows]
