"""What RudderStack's browser SDK asks before it sends anything: its source's configuration."""

from __future__ import annotations

import msgspec


def encode_source_config(write_key: str | None) -> bytes:
    """The true answer: a source that is on, sends to nobody else, and reports nothing of itself.

    The fields are those that `@rudderstack/analytics-js` reads (its `isValidSourceConfig` and
    `updateReportingState`); errors and metrics of the SDK would otherwise go to RudderStack.
    """
    off = {"enabled": False}
    return msgspec.json.encode(
        {
            "source": {
                "id": write_key or "sluice",
                "name": "Sluice",
                "writeKey": write_key or "",
                "workspaceId": "sluice",
                "enabled": True,
                "config": {"statsCollection": {"errors": off, "metrics": off}},
                "destinations": [],
                "dataplanes": {},
            }
        }
    )
