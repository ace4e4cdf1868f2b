"""`python -m api`: serve the collector and the management routes.

Where there are several workers this process only looks after them: nothing is imported here that
they alone need.
"""

from __future__ import annotations

import logging
import os
import sys
from socket import socket

import uvicorn

from api.collector.recent_ids import share_recent_ids
from api.http_protocol import PromptHttpProtocol
from api.settings import ApiSettings
from api.workers import Workers, bind, cores
from core.processes import say_ready
from core.settings import SettingsError, read_settings
from core.telemetry import configure_logging

GRACE_SECONDS = 20


def main() -> None:
    """Read the settings, then serve until told to stop; what was taken in is committed first."""
    try:
        settings = read_settings(ApiSettings, os.environ)
    except SettingsError as exc:
        sys.exit(str(exc))
    config = uvicorn.Config(
        "api.worker:application",
        factory=True,
        host=settings.api_host,
        port=settings.api_port,
        workers=settings.api_workers or cores(),
        loop="uvloop",
        http=PromptHttpProtocol,
        ws="none",
        lifespan="on",
        access_log=False,  # it would write whole IP addresses
        log_config=None,
        log_level=settings.log_level.lower(),
        server_header=False,
        proxy_headers=False,  # the application sees to them
        timeout_keep_alive=65,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=10_000,
    )
    try:
        workers = Workers(config) if config.workers > 1 else None
        sockets = [] if workers else [bind(config)]
    except OSError as exc:
        sys.exit(f"Cannot listen on {settings.api_host}:{settings.api_port}: {exc.strerror}.")
    if workers is None:
        LoneServer(config).run(sockets)
        return
    # Not to the workers' file: that one of them cannot write there has to be told, too.
    configure_logging(settings.log_level)
    # Its every step would bury the error that a worker ended with.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    share_recent_ids()
    workers.run()
    if workers.failed:
        sys.exit("A collector process could not start: its error stands above.")


class LoneServer(uvicorn.Server):
    """One without a supervisor: it tells itself that it is up."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start to serve."""
        await super().startup(sockets)
        say_ready()


if __name__ == "__main__":
    main()
