"""One worker process: the application, from the environment."""

from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE

from core.processes import die_with_parent

if TYPE_CHECKING:
    from api.app import Application


def application() -> Application:
    """The app that uvicorn serves; a worker that cannot make it exits with STARTUP_FAILURE."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        # First of all: one that outlives its supervisor holds the port of the next.
        die_with_parent(supervisor.pid)
    try:
        return _application()
    except Exception:
        if supervisor is None:
            raise
        # Its supervisor would take another exit for a death, and start it again, for ever.
        traceback.print_exc()
        sys.exit(STARTUP_FAILURE)


def _application() -> Application:
    # Not above: what cannot be imported is a failure like others.
    from api.app import create_app
    from api.settings import ApiSettings
    from core.garbage import collect_seldom
    from core.settings import read_settings
    from core.telemetry import configure_logging

    settings = read_settings(ApiSettings, os.environ)
    configure_logging(settings.log_level, file=settings.log_file)
    created = create_app(settings)
    collect_seldom()
    return created
