"""Derive what others read from the event contract: schemas, types, and the table in the docs."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta

from core.event import COLUMNS, SCHEMA_VERSION, Event
from exporter.arrow_schema import FILE_SCHEMA
from exporter.schemas.dataset import Dataset
from exporter.schemas.datasets import describe_datasets, parquet_datasets
from exporter.schemas.ddl import ENGINES, Engine, file_name, write_ddl
from exporter.schemas.location import Location

ROOT: Final = Path(__file__).resolve().parent.parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--check", action="store_true", help="fail when one is stale")


def run(arguments: argparse.Namespace) -> str | None:
    """Derive, or check; says which files are stale."""
    if not arguments.check:
        _write_contract()
    elif stale := _check_contract():
        return "Stale: " + ", ".join(stale) + ". Run `make contract` and commit."
    return None


def _write_contract() -> None:
    for path, derive in _DERIVED.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(derive(), encoding="utf-8")
        print(path.relative_to(ROOT))


def _check_contract() -> list[str]:
    """Names of the derived files that do not say what the contract says."""
    return [
        str(path.relative_to(ROOT))
        for path, derive in _DERIVED.items()
        if not path.exists() or path.read_text(encoding="utf-8") != derive()
    ]


def _json_schema() -> str:
    schema: dict[str, Any] = msgspec.json.schema(Event)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Sluice event"
    schema["x-schema-version"] = SCHEMA_VERSION
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _typescript() -> str:
    lines = [
        "// Derived from core/event.py by `make contract`. Do not edit.",
        "",
        "/** An ISO 8601 time, or a Unix time in milliseconds. */",
        "export type Instant = string | number;",
        "",
        "/** One thing that happened, as the collector takes it in. */",
        "export interface Event {",
    ]
    for field in msgspec.structs.fields(Event):
        base, meta = _annotation(field.type)
        optional = "" if field.required else "?"
        comment = "\n".join(
            textwrap.wrap(
                f"{meta.description}", 90, initial_indent="  /** ", subsequent_indent="   * "
            )
        )
        lines.append(f"{comment} */")
        lines.append(f"  {field.encode_name}{optional}: {_typescript_type(base)};")
    lines += [
        "}",
        "",
        "/** A request body: the events, and what they share. */",
        'export interface Envelope extends Omit<Event, "eventType" | "eventId" | "eventVersion"> {',
        '  eventType: "batch";',
        "  events: Event[];",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _annotation(hint: Any) -> tuple[Any, Meta]:
    annotated = next(t for t in (hint, *get_args(hint)) if hasattr(t, "__metadata__"))
    base, meta = get_args(annotated)
    return base, meta


def _typescript_type(base: Any) -> str:
    if get_origin(base) is Literal:
        return " | ".join(f'"{choice}"' for choice in get_args(base))
    if get_origin(base) in (Union, UnionType):
        kinds = [kind for kind in get_args(base) if kind is not NoneType]
        return _typescript_type(kinds[0]) if len(kinds) == 1 else "Instant"
    if get_origin(base) is dict:
        return "Record<string, unknown>"
    return {str: "string", int: "number"}[base]


def _arrow_schema() -> str:
    fields = "\n".join(f"{f.name}: {f.type}" for f in FILE_SCHEMA)
    return f"# The columns of a delivered Parquet file. Derived by `make contract`.\n{fields}\n"


def _docs_table() -> str:
    rows = [
        "| column | wire name | type | filled by | meaning | example | limit |",
        "|---|---|---|---|---|---|---|",
    ]
    for c in COLUMNS:
        filled_by = "client, or the address" if c.origin == "partition" else str(c.origin)
        wire = f"`{c.wire_name}`" if c.wire_name else ""
        rows.append(
            f"| `{c.name}` | {wire} | {c.type} | {filled_by} | {c.meaning} | `{c.example}` |"
            f" {c.limit} |"
        )
    return (
        "# The event, field by field\n\n"
        "Derived from `core/event.py` by `make contract`; do not edit.\n\n"
        "On the wire names are camelCase (snake_case is taken in too); in files they are columns.\n"
        "`site_id` is a partition column: it stands in the object's key, with `year`, `month`,\n"
        "`day` and `hour` of `received_at` in UTC. A field that is not named here is kept, in\n"
        "`properties`.\n\n" + "\n".join(rows) + "\n"
    )


def _datasets_page() -> str:
    """The page as it is written by hand, with the tables between its marks derived."""
    page = (ROOT / _DATASETS_PAGE).read_text(encoding="utf-8")
    for dataset in describe_datasets().values():
        begin, end = f"<!-- columns of {dataset.name} -->\n", "<!-- end -->"
        before, mark, after = page.partition(begin)
        if mark:
            page = before + begin + _columns_table(dataset) + end + after.partition(end)[2]
    return page


def _tracker_page() -> str:
    """The tracker's page, with the fields that it fills described as the contract has them."""
    page = (ROOT / _TRACKER_PAGE).read_text(encoding="utf-8")
    begin, end = "<!-- fields of its events -->\n", "<!-- end -->"
    before, _, after = page.partition(begin)
    return before + begin + _tracker_fields() + end + after.partition(end)[2]


def _tracker_fields() -> str:
    filled = [c for c in COLUMNS if c.wire_name in TRACKER_FIELDS]
    assert len(filled) == len(TRACKER_FIELDS), "a field of the tracker's is not in the contract"
    rows = ["| field | meaning | example | limit |", "|---|---|---|---|"]
    rows += [f"| `{c.wire_name}` | {c.meaning} | `{c.example}` | {c.limit} |" for c in filled]
    return "\n".join(rows) + "\n"


def _columns_table(dataset: Dataset) -> str:
    rows = ["| column | type | can be null | stands in | meaning |", "|---|---|---|---|---|"]
    for place, columns in (("the file", dataset.columns), ("the key", dataset.key_columns)):
        for c in columns:
            rows.append(
                f"| `{c.name}` | {c.kind} | {'yes' if c.nullable else 'no'} | {place}"
                f" | {c.meaning} |"
            )
    return "\n".join(rows) + "\n"


def _ddl(engine: Engine) -> str:
    return write_ddl(engine, parquet_datasets(), Location("your-bucket", "analytics"))


TRACKER_FIELDS: Final = frozenset(
    ("eventId", "eventType", "occurredAt", "sentAt", "siteId", "source", "visitorId", "sessionId",
     "sessionIndex", "userId", "companyId", "url", "title", "referrer", "language", "timezone",
     "screenWidth", "screenHeight", "viewportWidth", "viewportHeight", "consent", "consentPolicy",
     "properties")
)  # fmt: skip
"""What the tracker fills, in the event or in its envelope."""

_DATASETS_PAGE: Final = "docs/datasets.md"
_TRACKER_PAGE: Final = "tracking/README.md"
_DERIVED: Final[dict[Path, Callable[[], str]]] = {
    ROOT / "core/contract/event.schema.json": _json_schema,
    ROOT / "core/contract/event.arrow.txt": _arrow_schema,
    ROOT / "core/contract/event.md": _docs_table,
    ROOT / "tracking/src/event.ts": _typescript,
    ROOT / _DATASETS_PAGE: _datasets_page,
    ROOT / _TRACKER_PAGE: _tracker_page,
    **{ROOT / "core/contract/ddl" / file_name(e): partial(_ddl, e) for e in ENGINES},
}
