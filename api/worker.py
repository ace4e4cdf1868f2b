"""One worker process: the application, from the environment."""

from __future__ import annotations

import multiprocessing
import os

from api.app import Application, create_app
from api.settings import ApiSettings
from core.garbage import collect_seldom
from core.processes import die_with_parent
from core.settings import read_settings
from core.telemetry import configure_logging


def application() -> Application:
    """The app that uvicorn serves."""
    settings = read_settings(ApiSettings, os.environ)
    configure_logging(settings.log_level, file=settings.log_file)
    if multiprocessing.parent_process() is not None:
        die_with_parent()
    created = create_app(settings)
    collect_seldom()
    return created
