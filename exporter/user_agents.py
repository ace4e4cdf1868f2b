"""What a user agent says of itself: browser, operating system, kind of device.

Families and versions are ua-parser's; the kind of device is told by the words below. Browsers
freeze parts of what they say: such a part is left out rather than believed (docs/enrichment.md).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from ua_parser import Domain
from ua_parser.core import OS, UserAgent
from ua_parser.loaders import load_builtins
from ua_parser.re2 import Resolver

CACHED_AGENTS: Final = 20_000
"""Distinct user agents whose meaning is remembered: about 10 MB of usual ones, 50 MB at most."""

_MAX_AGENT_CHARS: Final = 512
_MAX_NAME_CHARS: Final = 200


class Agent(NamedTuple):
    """None is what the user agent does not say, or what it is known to say of every system."""

    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    os_version: str | None = None
    device_type: str | None = None


def read_user_agent(text: str) -> Agent:
    """The meaning of a user agent's first 512 characters. Never raises."""
    return _remembered(text[:_MAX_AGENT_CHARS])


@lru_cache(maxsize=CACHED_AGENTS)
def _remembered(text: str) -> Agent:
    said = _resolver()(text, Domain.USER_AGENT | Domain.OS)
    browser = said.user_agent or UserAgent()
    system = said.os or OS()
    return Agent(
        browser=_name(_BROWSERS.get(browser.family, browser.family)),
        browser_version=_version(browser.major, browser.minor),
        os=_name(_SYSTEMS.get(system.family, system.family)),
        os_version=None if _is_frozen(text, system) else _version(system.major, system.minor),
        device_type=_device_type(text),
    )


@lru_cache(maxsize=1)
def _resolver() -> Resolver:
    browsers, systems, _ = load_builtins()
    return Resolver((browsers, systems, []))  # its devices are 600 patterns, and not kinds


def _name(family: str) -> str | None:
    return family[:_MAX_NAME_CHARS] if family and family != "Other" else None


def _version(major: str | None, minor: str | None) -> str | None:
    if not major:
        return None
    return (f"{major}.{minor}" if minor else major)[:_MAX_NAME_CHARS]


# One browser is one family, wherever it runs: `device_type` and `os` tell where.
_BROWSERS: Final = {
    "Chrome Mobile": "Chrome",
    "Chrome Mobile iOS": "Chrome",
    "Chrome Mobile WebView": "Android WebView",
    "Mobile Safari": "Safari",
    "Mobile Safari UI/WKWebView": "iOS WebView",
    "Firefox Mobile": "Firefox",
    "Firefox iOS": "Firefox",
    "Edge Mobile": "Edge",
    "Opera Mobile": "Opera",
    "DuckDuckGo Mobile": "DuckDuckGo",
}
_SYSTEMS: Final = {
    "Mac OS X": "macOS",
    "Web0S": "webOS",
} | dict.fromkeys(
    ("Ubuntu", "Debian", "Fedora", "Red Hat", "SUSE", "Mandriva", "CentOS", "Arch Linux"), "Linux"
)


def _is_frozen(text: str, system: OS) -> bool:
    """Whether the version is one that browsers say on later systems, too."""
    match system.family:
        case "Windows":  # NT 10.0 is said on 11
            return system.major == "10"
        case "Mac OS X":  # 10_15_7, or 10.15, is said on all that came later
            return (system.major, system.minor) == ("10", "15")
        case "iOS":  # since 26, 18_6 or 18_7 is said; an old Safari's own version tells them apart
            frozen = system.major == "18" and system.minor in ("6", "7")
            return frozen and not _OLD_SAFARI.search(text)
        case "Android":  # Chrome's reduced "Android 10; K"; Firefox's least version
            return _REDUCED_ANDROID.search(text) is not None
        case "Chrome OS":
            return system.major == "14541"
    return False


_OLD_SAFARI: Final = re.compile(r"like Gecko\) Version/1\d\.[\d.]+ Mobile/\w+ Safari/")
_REDUCED_ANDROID: Final = re.compile(r"Android 10; (?:K|Mobile|Tablet)[;)]")

# The first that matches decides. Nothing here nests repetitions: time is linear in the text.
_DEVICE_TYPES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("console", r"PlayStation|Xbox|Nintendo"),
        (
            "tv",
            r"[Ss]mart[- ]?TV|SMART-?TV|HbbTV|Google ?TV|Android ?TV|Apple ?TV"
            r"|\bAFT[A-Z0-9]{1,8}\b|CrKey|Roku|BRAVIA|Web0S|NetCast|VIDAA|Viera|NETTV|POV_TV"
            r"|Chromecast|MiBOX|SHIELD Android|\bTV (?:Safari|Build)",
        ),
        ("car", r"Tesla/|QtCarBrowser|Android Automotive"),
        (
            "tablet",
            r"iPad|Tablet(?! PC)|PlayBook|Kindle|\bKF[A-Z]{2,6}\b|Silk/(?!.*Mobile)"
            r"|Nexus (?:7|9|10)\b|\b(?:SM-[TPX]|GT-P)\d",
        ),
        (
            "mobile",
            r"iPhone|iPod|Android.*Mobile|Mobile[;/ ].*(?:Firefox|Safari)|Windows Phone|IEMobile"
            r"|BlackBerry|BB10|Opera M(?:ini|obi)|J2ME|MIDP|KAIOS|Symbian|Series ?60"
            r"|Mobile Safari",
        ),
        # A tablet's browser says Android and not Mobile; an app's HTTP client says neither.
        ("tablet", r"Android.*(?:Chrome|Firefox|Safari)/"),
        ("desktop", r"Windows (?:NT|9\d)|Macintosh|Mac OS X 1\d|X11|CrOS|Linux (?:x86_64|i686)"),
    )
)


def _device_type(text: str) -> str | None:
    return next((kind for kind, pattern in _DEVICE_TYPES if pattern.search(text)), None)
