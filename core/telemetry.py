"""Logging: a constant message with the facts beside it, one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from traceback import format_tb
from typing import Any, Final

MAX_LOG_BYTES: Final = 10_000_000
KEPT_LOGS: Final = 3

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """Formats a record as `{"time", "level", "logger", "message", …extra}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = _trace(record.exc_info[1])
        return json.dumps(line, default=str, ensure_ascii=False)


def _trace(exc: BaseException) -> str:
    """Where an error arose, and of what type; its message may quote what somebody sent."""
    before = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    first = "" if before is None else f"{_trace(before)}\n\n"
    return f"{first}{''.join(format_tb(exc.__traceback__))}{type(exc).__name__}"


def configure_logging(level: str, *, file: Path | None = None) -> None:
    """Send every logger to a rotated file, or to standard error, as JSON lines."""
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = RotatingFileHandler(file, maxBytes=MAX_LOG_BYTES, backupCount=KEPT_LOGS)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # The exporter logs a failed step itself; that one is still at work is nothing to report.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    for chatty in ("botocore", "boto3", "s3transfer", "urllib3", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
