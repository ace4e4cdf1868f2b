"""Read a process's settings once, from the environment, and name every bad one at once.

A settings class is a frozen dataclass whose fields are made with `setting`. The environment
variable of a field is its name in capitals.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

S = TypeVar("S")


class SettingsError(Exception):
    """One or more settings are missing or wrong; the message lists them all."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__(
            "Sluice cannot start with these settings:\n"
            + "\n".join(f"  - {problem}" for problem in problems)
            + "\nEach setting is described in .env.example."
        )


def setting(
    meaning: str, *, default: Any = MISSING, secret: bool = False, at_least: int | None = None
) -> Any:
    """Declare a setting.

    `default` is left out where there is none; a secret stays out of `repr` and of `masked`.
    """
    metadata = {"meaning": meaning, "secret": secret, "at_least": at_least}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """What every process of a stack reads."""

    sluice_env: Literal["development", "production"] = setting(
        "development opens the management routes on loopback; production wants API_TOKEN.",
        default="development",
    )
    client_id: str = setting("The client's short name, in receipts and keys.", default="demo")
    database_url: str = setting(
        "The buffer: postgresql://user:password@host:port/database.", secret=True
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting(
        "How much to log.", default="INFO"
    )
    log_file: Path | None = setting(
        "Log into this file, rotated at 10 MB, three kept; standard error when empty.", default=None
    )


def read_settings(cls: type[S], environment: Mapping[str, str]) -> S:
    """Build `cls` from the environment; raises SettingsError naming every bad setting.

    An empty variable counts as unset: compose files pass those for what nobody filled in.
    """
    hints = get_type_hints(cls)
    values: dict[str, Any] = {}
    problems: list[str] = []
    for f in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = f.name.upper()
        raw = environment.get(name, "").strip()
        if not raw:
            if f.default is MISSING:
                problems.append(f"{name} is missing. {f.metadata['meaning']}")
                values[f.name] = ""  # stands in until every problem is named
            continue
        try:
            values[f.name] = _parse(raw, hints[f.name], at_least=f.metadata["at_least"])
        except (ValueError, OverflowError) as exc:
            shown = "(secret)" if f.metadata["secret"] else repr(raw)
            problems.append(f"{name}={shown}: {exc}")
            if f.default is MISSING:
                values[f.name] = ""
    try:
        settings = cls(**values)
    except ValueError as exc:  # raised by a class's own __post_init__
        problems += str(exc).splitlines()
    if problems:
        raise SettingsError(problems)
    return settings


def masked(settings: Any) -> dict[str, str]:
    """The settings by variable name, fit to be shown: secrets say only whether they are set."""
    shown = {}
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        if f.metadata["secret"]:
            shown[f.name.upper()] = "(set)" if value else "(not set)"
        else:
            shown[f.name.upper()] = "" if value is None else str(value)
    return shown


def _parse(raw: str, hint: Any, *, at_least: int | None) -> Any:
    if get_origin(hint) in (Union, types.UnionType):  # X | None
        hint = next(h for h in get_args(hint) if h is not type(None))
    if get_origin(hint) is Literal:
        if raw not in get_args(hint):
            raise ValueError(f"must be one of {', '.join(get_args(hint))}")
        return raw
    parse = _PARSERS.get(hint) or hint.parse  # a type that reads itself
    value = parse(raw)
    if at_least is not None and _magnitude(value) < at_least:
        raise ValueError(f"must be at least {at_least}")
    return value


def _magnitude(value: Any) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _parse_bool(raw: str) -> bool:
    if raw.lower() in ("1", "true", "yes", "on"):
        return True
    if raw.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be true or false")


def _parse_int(raw: str) -> int:
    try:
        return int(raw.replace("_", ""))
    except ValueError:
        raise ValueError("must be a whole number") from None


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(raw: str) -> timedelta:
    """`90s`, `15m`, `1h`, `3d`, or seconds; raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+)\s*([smhd]?)", raw)
    if match is None:
        raise ValueError("must be a duration: 90s, 15m, 1h or 3d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2] or "s"])


_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: _parse_int,
    bool: _parse_bool,
    timedelta: parse_duration,
    Path: Path,
}
