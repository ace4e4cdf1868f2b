"""Write into the buffer as a collector does, and deliver as an exporter does."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
from sqlalchemy import Engine, text

from api.app import Application, create_app
from api.collector.acceptance import Acceptance
from api.collector.intake_of import intake_of
from api.http_answer import Answer
from api.settings import ApiSettings
from core.clock import Clock, utc_now
from core.event_id import make_event_id
from core.settings import read_settings
from database.intake import Committed, IntakeConnection
from database.segments import Segment, seal_open_segment
from exporter.settings import ExporterSettings
from exporter.sinks.open import Sink, open_sinks
from exporter.sinks.sink import Bucket
from exporter.steps import Exporter
from tests.conftest import a_batch
from tests.unit.accepting import accept

SINKS = ("client", "metering")


async def write(database_url: str, *events: Any) -> Committed:
    """Commit some events in one transaction, as a collector of its own."""
    connection = await IntakeConnection.open(database_url, commit_timeout_seconds=30)
    try:
        return await commit(connection, accept(a_batch(*events)))
    finally:
        await connection.close()


async def commit(connection: IntakeConnection, acceptance: Acceptance) -> Committed:
    """Commit an acceptance's rows and counts."""
    return await connection.commit(intake_of([acceptance]))


def write_now(database_url: str, *events: Any) -> Committed:
    """`write`, for tests without an event loop."""
    return asyncio.run(write(database_url, *events))


def seal(engine: Engine, **different: Any) -> Segment:
    """Seal the open segment for both sinks."""
    with engine.connect() as connection:
        return seal_open_segment(
            connection,
            **{"sinks": SINKS, "trigger": "manual", "run_id": make_event_id()} | different,
        )


def query(database_url: str, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """Ask the database directly."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        cursor = connection.execute(statement, arguments or None)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def ledger_of(database_url: str) -> dict[str, int]:
    """Counts by outcome, dropped segments' included."""
    rows = query(
        database_url,
        "SELECT outcome, sum(events)::int FROM (SELECT outcome, events FROM ledger"
        " UNION ALL SELECT outcome, events FROM ledger_totals) AS counted GROUP BY 1",
    )
    return dict(rows)


def event_ids(database_url: str, table: str = "events_log") -> list[str]:
    """The ids in the buffer as clients gave them, in physical order."""
    rows = query(database_url, f"SELECT payload->>'eventId' FROM {table}")
    return [row[0] for row in rows]


# --- the API in this process -------------------------------------------------------------------


class WholeTransport(httpx.ASGITransport):
    """Hands requests over as the server does: whole where the application takes them so."""

    def __init__(self, app: Application, client: tuple[str, int]) -> None:
        super().__init__(app=app, client=client, raise_app_exceptions=False)
        self._whole = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        scope = {
            "type": "http",
            "method": request.method,
            "path": request.url.path,
            "query_string": request.url.query,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": self.client,
        }
        answered = asyncio.get_running_loop().create_future()
        comes_whole = isinstance(request.stream, httpx.ByteStream)
        if comes_whole:
            self._whole.take_whole(
                scope, request.content, answered.set_result, partial(answered.set_result, None)
            )
            answer: Answer | None = await answered
        if comes_whole and answer is not None:
            return httpx.Response(answer.status, headers=answer.headers, content=answer.body)
        return await super().handle_async_request(request)


@asynccontextmanager
async def serving(
    database_url: str,
    *,
    clock: Clock = utc_now,
    client: tuple[str, int] = ("127.0.0.1", 50_000),
    base_url: str = "http://localhost:8000",
    **variables: str,
) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application against a real database; variables are settings by name."""
    settings = read_settings(ApiSettings, {"DATABASE_URL": database_url} | variables)
    app = create_app(settings, clock=clock)
    # What escapes the application is a 500 to the sender.
    transport = WholeTransport(app, client)
    async with (
        app.management.router.lifespan_context(app.management),
        httpx.AsyncClient(transport=transport, base_url=base_url, timeout=60) as http,
    ):
        yield http


async def collect(http: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    """POST a body: bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return await http.post("/collect", content=content, headers=headers)


# --- the exporter in this process --------------------------------------------------------------


@dataclass
class Exporting:
    """An exporter with two directory buckets, stepped by hand."""

    database_url: str
    engine: Engine
    folder: Path
    clock: Clock = utc_now
    variables: dict[str, str] = field(default_factory=dict)
    wrap: Callable[[Bucket, str], Bucket] = lambda bucket, _: bucket

    def __post_init__(self) -> None:
        self.client_root, self.metering_root = self.folder / "client", self.folder / "metering"
        self.settings = read_settings(
            ExporterSettings,
            {
                "DATABASE_URL": self.database_url,
                "CLIENT_S3_BUCKET": self.client_root.as_uri(),
                "METERING_S3_BUCKET": self.metering_root.as_uri(),
                "ROW_GROUP_ROWS": "1000",
                "SIGNING_KEY_DIR": str(self.folder / "keys"),
            }
            | self.variables,
        )
        self.sinks = [
            Sink(s.name, self.wrap(s.bucket, s.name), s.prefix, s.datasets)
            for s in open_sinks(self.settings)
        ]
        self.restart()

    def restart(self) -> None:
        """A new process: memory is lost, what the database and the buckets hold is not."""
        self.exporter = Exporter(
            settings=self.settings, engine=self.engine, sinks=self.sinks, clock=self.clock
        )
        self.exporter.recover()

    @property
    def client(self) -> Sink:
        return self.sinks[0]

    @property
    def metering(self) -> Sink:
        return self.sinks[1]

    def seal(self) -> Segment:
        sealed = seal(self.engine)
        self.exporter.deduplicate_sealed()
        return sealed

    def deliver(self, *sinks: Sink) -> None:
        """Try each sink once more, now: retries do not wait here."""
        query(self.database_url, "UPDATE deliveries SET next_attempt_at = now()")
        query(self.database_url, "UPDATE sinks SET probe_at = now() WHERE circuit = 'open'")
        for sink in sinks or self.sinks:
            self.exporter.deliver(sink)

    def put_receipts(self) -> None:
        """Put what each sink lacks."""
        for sink in self.sinks:
            self.exporter.put_receipts(sink)

    def run(self) -> Segment:
        """Seal and deliver everywhere."""
        sealed = self.seal()
        self.deliver()
        return sealed

    def delivery(self, segment_id: int, sink: str) -> dict[str, Any]:
        with self.engine.connect() as connection:
            row = connection.execute(
                text("SELECT * FROM deliveries WHERE segment_id = :id AND sink = :sink"),
                {"id": segment_id, "sink": sink},
            ).one()
        return dict(row._mapping)

    def committed_rows(self, sink: Sink) -> list[dict[str, Any]]:
        """Rows of the objects that a manifest lists: what a reader may rely on."""
        rows: list[dict[str, Any]] = []
        for key in sink.bucket.list_keys(f"{sink.prefix}/_sluice/manifests/"):
            body = sink.bucket.get(key)
            assert body is not None
            for listed in json.loads(body)["objects"]:
                if listed["dataset"] == "events":
                    rows += read_parquet(sink, listed["key"])
        return rows

    def committed_ids(self, sink: Sink) -> Counter[str]:
        return Counter(row["event_id"] for row in self.committed_rows(sink))


def read_parquet(sink: Sink, key: str) -> list[dict[str, Any]]:
    """An object's rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    body = sink.bucket.get(key)
    assert body is not None, key
    rows: list[dict[str, Any]] = pq.read_table(pa.BufferReader(body)).to_pylist()
    return rows


@contextmanager
def open_transaction(database_url: str) -> Iterator[psycopg.Connection]:
    """A session that a test leads by hand, rolled back at the end."""
    with psycopg.connect(database_url) as connection:
        yield connection
        if not connection.closed:
            connection.rollback()
