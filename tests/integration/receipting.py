"""Segments with receipts, what verify says of them, and the hands that tamper."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from core.clock import utc_now
from core.receipt import Receipt, decode_receipt
from core.signing import SigningKey
from exporter.finding import Finding
from exporter.sinks.open import Sink
from exporter.verify import verify_bucket
from tests.conftest import an_event
from tests.integration.building import Exporting, write_now

RECEIPTS = "_sluice/receipts"


def some_segments(exporting: Exporting) -> None:
    """Three segments, one of them empty, with a repeat and a refusal among their events."""
    write_now(exporting.database_url, an_event(eventId="one"), an_event(siteId="b.example"))
    run(exporting)
    run(exporting)
    write_now(
        exporting.database_url, an_event(eventId="one"), an_event(), {"eventType": ""}, an_event()
    )
    run(exporting)


def run(exporting: Exporting) -> None:
    exporting.run()
    exporting.put_receipts()


def receipts(sink: Sink) -> list[Receipt]:
    keys = sink.bucket.list_keys(f"{sink.prefix}/{RECEIPTS}/")
    return [decode_receipt(sink.bucket.get(key) or b"") for key in keys]


def problems(sink: Sink, **options: Any) -> list[str]:
    return [f.what for f in findings(sink, **options) if not f.holds]


def findings(sink: Sink, **options: Any) -> list[Finding]:
    later = utc_now() + timedelta(hours=2)  # by then a segment has its receipt
    return list(
        verify_bucket(sink.bucket, sink.prefix, **{"now": later, "sink": sink.name} | options)
    )


def edit_json(path: Path, **different: Any) -> None:
    path.write_text(msgspec.json.format(json.dumps(json.loads(path.read_text()) | different)))


def swap(first: Path, second: Path) -> None:
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def resign(path: Path, key: SigningKey, **different: Any) -> None:
    """The stack's own key signs something else: who holds it may lie, and is found out."""
    path.write_bytes(
        key.sign(msgspec.structs.replace(decode_receipt(path.read_bytes()), **different))
    )
