"""`python -m database`: migrate the database named by DATABASE_URL, then exit."""

from __future__ import annotations

import os
import sys

from core.settings import CommonSettings, SettingsError, read_settings
from core.telemetry import configure_logging
from database.engine import sync_engine
from database.migrate import migrate

if __name__ == "__main__":
    try:
        settings = read_settings(CommonSettings, os.environ)
    except SettingsError as exc:
        sys.exit(str(exc))
    configure_logging(settings.log_level, file=settings.log_file)
    migrate(sync_engine(settings.database_url, application_name="sluice migrate"))
