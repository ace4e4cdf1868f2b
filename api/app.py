"""Build the application: the collector's endpoint, the management routes, and the demo's files."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.aliases import Aliases
from api.collector.async_spool import AsyncSpool
from api.collector.body import BodyLimits
from api.collector.contract import INTAKE_SCHEMAS, describe_dialects
from api.collector.cookieless import SaltKeeper
from api.collector.cors import Cors
from api.collector.dialects.dialect import Dialect
from api.collector.dialects.ecomdash import EcomDashDialect
from api.collector.dialects.heatmap import HeatmapDialect
from api.collector.dialects.native import NativeDialect
from api.collector.dialects.pixel import PixelDialect
from api.collector.dialects.plausible import PlausibleDialect
from api.collector.dialects.segment import SegmentDialect
from api.collector.dialects.snowplow import SnowplowDialect
from api.collector.dialects.umami import UmamiDialect
from api.collector.dialects.widget_events import WidgetEventsDialect
from api.collector.endpoint import IntakeEndpoint
from api.collector.geo import GeoReader
from api.collector.group_commit import GroupCommit
from api.collector.letter_quota import LetterQuota
from api.collector.letter_replay import LetterReplay
from api.collector.plan_in_force import PlanInForce
from api.collector.policy_of import policy_of, recording_redactor_of
from api.collector.recent_ids import RecentIds
from api.collector.recording_endpoint import (
    MAX_BODY_BYTES,
    MAX_DECOMPRESSED_BYTES,
    RecordingEndpoint,
)
from api.collector.recording_openapi import RECORDING_PATHS
from api.collector.rule_watch import RuleWatch
from api.collector.rules import RuleBook
from api.collector.salt_renewal import keep_salts, try_to_renew
from api.collector.spool import Spool
from api.collector.spool_replay import SpoolReplay
from api.collector.throttle import Throttle
from api.control import (
    backfills,
    circuits,
    events,
    export,
    health,
    privacy,
    recordings,
    rejected,
    sink_tests,
    sites,
)
from api.control.access import require_access
from api.http_answer import Decline, Respond
from api.loop_watch import LoopWatch
from api.settings import ApiSettings
from api.tracker_files import TrackerFiles
from api.trusted_proxies import TrustedProxies
from api.workers import cores
from core.clock import Clock, utc_now
from core.version import VERSION
from database.async_engine import async_engine
from database.intake import IntakeConnection
from database.recording_intake import recording_engine

log = logging.getLogger("sluice.control")

DIALECTS: Final[tuple[Dialect, ...]] = (
    NativeDialect(),
    PixelDialect(),
    WidgetEventsDialect(),
    EcomDashDialect(),
    HeatmapDialect(),
    SnowplowDialect(),
    PlausibleDialect(),
    UmamiDialect(),
    SegmentDialect(),
)
"""Every protocol that events come in by. What the public reaches is listed in nginx too."""


def create_app(settings: ApiSettings, *, clock: Clock = utc_now) -> Application:
    """The whole HTTP side of a stack, one instance a process."""
    commit_timeout = settings.commit_timeout.total_seconds()

    async def connect() -> IntakeConnection:
        return await IntakeConnection.open(
            settings.database_url, commit_timeout_seconds=commit_timeout
        )

    plan = _open_plan(settings)
    geo, salts = GeoReader.open(settings.geo_database), SaltKeeper()
    rule_book = RuleBook(policy_of(settings, plan=plan, geo=geo, salts=salts))
    spool = _spool_of(settings, clock)
    group_commit = GroupCommit(
        connect,
        max_queue_bytes=settings.max_queue_bytes,
        max_commit_bytes=settings.max_commit_bytes,
        commit_timeout_seconds=commit_timeout,
        rule_book=rule_book,
        spool=spool,
        recent_ids=RecentIds.of_stack(),
    )
    loop_watch = LoopWatch()
    replay = None
    if spool is not None:
        replay = SpoolReplay(
            spool,
            connect,
            rule_book=rule_book,
            timeout_seconds=commit_timeout,
            is_failing=lambda: group_commit.failing is not None,
            is_busy=lambda: group_commit.is_busy,
        )
    engine = async_engine(settings.database_url, application_name="sluice control")
    rule_watch = RuleWatch(rule_book, engine)
    throttle = Throttle(
        per_ip=settings.rate_limit_per_ip,
        per_site=settings.rate_limit_per_site,
        processes=settings.api_workers or cores(),
    )
    recording = RecordingEndpoint(
        recording_engine(settings.database_url, timeout_seconds=commit_timeout),
        rule_book=rule_book,
        rule_watch=rule_watch,
        redactor=recording_redactor_of(settings),
        throttle=throttle,
        body_limits=BodyLimits(
            max_body_bytes=MAX_BODY_BYTES,
            max_decompressed_bytes=MAX_DECOMPRESSED_BYTES,
            timeout_seconds=settings.body_timeout.total_seconds(),
        ),
        max_buffered_bytes=settings.recording_max_buffered_bytes,
        cors=Cors(settings.origins),
        trusted_proxies=TrustedProxies(settings.trusted_proxies),
        clock=clock,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await rule_watch.start()
        group_commit.start()
        recording.start()
        loop_watch.start()
        upkeep = [asyncio.create_task(geo.keep_fresh())]
        if plan is not None:
            upkeep.append(asyncio.create_task(plan.keep_up()))
        if settings.cookieless != "off":
            await try_to_renew(salts, settings.database_url, clock=clock)
            upkeep.append(
                asyncio.create_task(keep_salts(salts, settings.database_url, clock=clock))
            )
        if replay is not None:
            replay.start()
        yield
        await rule_watch.stop()
        for task in upkeep:
            task.cancel()
        loop_watch.stop()
        await recording.close()
        await group_commit.close()
        # After the last group, which may have gone into the spool.
        if replay is not None:
            await replay.close()
        if spool is not None:
            await spool.close()
        await engine.dispose()

    # Swagger's own files come with the package: no third party is ever contacted.
    app = FastAPIOffline(
        title="Sluice",
        version=VERSION,
        summary="First-party event pipeline: intake and management of one client's stack.",
        lifespan=lifespan,
    )
    app.state.settings, app.state.engine, app.state.clock = settings, engine, clock
    intake = IntakeEndpoint(
        DIALECTS,
        group_commit,
        rule_book=rule_book,
        letter_quota=LetterQuota(settings.max_dead_letters_per_minute),
        throttle=throttle,
        body_limits=BodyLimits(
            max_body_bytes=settings.max_body_bytes,
            max_decompressed_bytes=settings.max_decompressed_bytes,
            timeout_seconds=settings.body_timeout.total_seconds(),
        ),
        origins=settings.origins,
        trusted_proxies=TrustedProxies(settings.trusted_proxies),
        clock=clock,
    )
    app.state.group_commit, app.state.loop_watch = group_commit, loop_watch
    app.state.rule_watch, app.state.plan = rule_watch, plan
    app.state.letter_replay = LetterReplay(
        engine,
        connect,
        dialects=intake.routes,
        rule_book=rule_book,
        rule_watch=rule_watch,
        max_commit_bytes=settings.max_commit_bytes,
    )
    app.state.spool, app.state.spool_replay = spool, replay
    app.state.promised = None  # until the database has told it once
    app.add_exception_handler(SQLAlchemyError, _answer_without_database)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.include_router(health.router)
    protected = APIRouter(dependencies=[Depends(require_access)])
    protected.include_router(events.router)
    protected.include_router(rejected.router)
    protected.include_router(export.router)
    protected.include_router(circuits.router)
    protected.include_router(sink_tests.router)
    protected.include_router(backfills.router)
    protected.include_router(sites.router)
    protected.include_router(privacy.router)
    protected.include_router(recordings.router)
    app.include_router(protected)
    _document_intake(app)
    _serve_files(app, settings)
    return Application(
        app,
        intake,
        recording,
        trusted_proxies=settings.trusted_proxies,
        aliases=settings.aliases,
    )


def _open_plan(settings: ApiSettings) -> PlanInForce | None:
    if settings.tracking_plan_dir is None:
        return None
    return PlanInForce(
        settings.tracking_plan_dir,
        mode=settings.tracking_plan_mode,
        unknown_types=settings.tracking_plan_unknown,
    )


class Application:
    """Hands the dialects' paths to their endpoint before anything else: this is the hot path."""

    def __init__(
        self,
        management: FastAPI,
        intake: IntakeEndpoint,
        recording: RecordingEndpoint,
        *,
        trusted_proxies: str,
        aliases: Aliases,
    ) -> None:
        self.management = management
        self._aliases = aliases
        # Its types are uvicorn's, and stricter than Starlette's.
        self._behind_proxies: Any = ProxyHeadersMiddleware(
            cast(Any, management), trusted_hosts=trusted_proxies
        )
        self._intake = intake
        self._recording = recording

    def take_whole(self, scope: Scope, body: bytes, respond: Respond, decline: Decline) -> None:
        """Answer a request that has come whole; or decline it, with nothing done."""
        scope = self._by_usual_name(scope)
        if scope["path"] in self._intake.routes:
            self._intake.take_whole(scope, body, respond, decline)
        else:
            decline()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            scope = self._by_usual_name(scope)
        if scope["type"] == "http" and scope["path"] in self._intake.routes:
            await self._intake(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] in self._recording.routes:
            await self._recording(scope, receive, send)
        else:
            await self._behind_proxies(scope, receive, send)

    def _by_usual_name(self, scope: Scope) -> Scope:
        path = self._aliases.resolve(scope["path"])
        return scope if path == scope["path"] else {**scope, "path": path}


async def _answer_invalid(_: Request, exc: Exception) -> JSONResponse:
    """Say what is wrong without repeating what was sent, which may be half of a character."""
    assert isinstance(exc, RequestValidationError)
    problems = [
        {name: problem[name] for name in ("type", "loc", "msg")} for problem in exc.errors()
    ]
    return JSONResponse({"detail": problems}, status_code=422)


def _spool_of(settings: ApiSettings, clock: Clock) -> AsyncSpool | None:
    folder = settings.spool_dir
    if folder is None:
        return None

    def open_spool() -> Spool:
        return Spool.open(
            folder,
            max_bytes=settings.spool_max_bytes,
            min_free_bytes=settings.spool_min_free_bytes,
            clock=clock,
        )

    return AsyncSpool(open_spool)


async def _answer_without_database(_: Request, exc: Exception) -> JSONResponse:
    log.warning("a management route failed", extra={"error": type(exc).__name__})
    return JSONResponse(
        {"detail": "PostgreSQL does not answer as it should: see /health, and try again."},
        status_code=503,
        headers={"Retry-After": "5"},
    )


def _document_intake(app: FastAPI) -> None:
    """Describe the dialects' routes, which FastAPI does not see."""
    plain_openapi = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain_openapi()
        document.setdefault("paths", {}).update(describe_dialects(DIALECTS) | RECORDING_PATHS)
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(INTAKE_SCHEMAS)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _serve_files(app: FastAPI, settings: ApiSettings) -> None:
    """What nginx serves in production: the tracker; in the demo also the site and the bucket."""
    if settings.tracker_dir is not None:
        app.router.routes.append(Mount("/js", TrackerFiles(settings.tracker_dir), name="tracker"))
    if settings.demo_bucket_dir is not None:
        settings.demo_bucket_dir.mkdir(parents=True, exist_ok=True)
        app.router.routes.append(
            Mount("/demo/bucket", StaticFiles(directory=settings.demo_bucket_dir), name="bucket")
        )
    if settings.site_dir is not None:
        app.router.routes.append(
            Mount("/", StaticFiles(directory=settings.site_dir, html=True), name="site")
        )
