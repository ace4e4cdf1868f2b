"""The API process's settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from api.aliases import Aliases
from api.collector.consent import ConsentMode
from api.collector.identity import DEFAULT_IDENTITY_EVENTS, parse_identity_events
from api.collector.redaction import Detector
from api.collector.sites import NewSites, SitePolicy, parse_site_patterns
from api.collector.write_keys import RequireWriteKey, WriteKeys, parse_write_keys
from core.settings import CommonSettings, setting

MIN_TOKEN_CHARS = 24
_KNOWN_TOKENS = ("changeme", "change-me", "secret", "token", "password", "development")


@dataclass(frozen=True, kw_only=True)
class ApiSettings(CommonSettings):
    """What the collector and the management routes read."""

    api_host: str = setting("Address to listen on.", default="127.0.0.1")
    api_port: int = setting("Port to listen on.", default=8000, at_least=0)
    api_workers: int = setting(
        "Collector processes; 0 for one on each core.", default=0, at_least=0
    )
    api_token: str | None = setting(
        "Bearer token of the management routes; required in production.", default=None, secret=True
    )
    trusted_proxies: str = setting(
        "Addresses whose X-Forwarded-For is believed, comma-separated.", default="127.0.0.1"
    )
    local_networks: str = setting(
        "Networks whose callers count as this machine in development, comma-separated; "
        "production opens nothing to anyone without the token.",
        default="127.0.0.0/8,::1/128",
    )
    allowed_origins: str = setting(
        "Origins that may post from a browser, comma-separated; * for all.", default="*"
    )
    allowed_sites: str = setting(
        "Patterns (*.shop.example) of the sites to take events for, comma-separated; * for all.",
        default="*",
    )
    new_sites: NewSites = setting(
        "What becomes of a site that was never seen: accept, quarantine or refuse.",
        default="accept",
    )
    max_sites: int = setting(
        "Most sites that events may name; further ones wait for somebody to name them.",
        default=1_000,
        at_least=1,
    )
    write_keys: str | None = setting(
        "Keys of servers that send events, key=site,key2=*; without any, every key is ignored.",
        default=None,
        secret=True,
    )
    require_write_key: RequireWriteKey = setting(
        "server: what comes from no page (no Origin, no Referer) needs a write key.",
        default="never",
    )
    consent_mode: ConsentMode = setting(
        "ignore, respect_signals (DNT, GPC, a consent that is withheld) or require consent.",
        default="respect_signals",
    )
    identity_events: str = setting(
        "Types of events that link a visitor to a user, comma-separated; none for none.",
        default=DEFAULT_IDENTITY_EVENTS,
    )
    max_body_bytes: int = setting("Largest request body.", default=2_000_000, at_least=1_000)
    max_decompressed_bytes: int = setting(
        "Largest body once decompressed; checked while it grows.",
        default=8_000_000,
        at_least=1_000,
    )
    body_timeout: timedelta = setting(
        "Longest that a body may take to arrive; then 408.",
        default=timedelta(seconds=30),
        at_least=1,
    )
    max_event_bytes: int = setting("Largest event, as stored.", default=32_768, at_least=500)
    max_batch_events: int = setting("Most events in a request.", default=2_000, at_least=1)
    max_depth: int = setting("Deepest nesting of an event.", default=40, at_least=2)
    max_string_chars: int = setting(
        "Longest text in an event's properties.", default=16_384, at_least=100
    )
    ip_mode: Literal["truncate", "drop"] = setting(
        "What is stored of an address: its /24 or /48 network, or nothing.", default="truncate"
    )
    geo_database: Path | None = setting(
        "Country and region by this file in MaxMind's format; empty stores neither.", default=None
    )
    bots: Literal["flag", "drop"] = setting(
        "Flag what programs send, or refuse and count it.", default="flag"
    )
    cookieless: Literal["off", "dialects", "missing", "always"] = setting(
        "Make visitor ids on the server, for a day: never, for dialects that count on it, wherever "
        "there is none, or for all.",
        default="dialects",
    )
    rate_limit_per_ip: int = setting(
        "Events a second from one address, ten seconds' worth at once; 0 for no limit.",
        default=2_000,
        at_least=0,
    )
    rate_limit_per_site: int = setting(
        "Events a second for one site, likewise; 0 for no limit.", default=0, at_least=0
    )
    redact: str = setting(
        "What is looked for and redacted, comma-separated; empty is not nothing, none is.",
        default="card,ssn,iban,email,phone,secret,ip",
    )
    redact_allow: str = setting(
        "Fields that are left as they are: site=field, comma-separated; * for every site.",
        default="",
    )
    max_queue_bytes: int = setting(
        "Rows that may wait for a commit; above it, 503.", default=64_000_000, at_least=1_000_000
    )
    max_commit_bytes: int = setting(
        "Rows in one group commit.", default=8_000_000, at_least=100_000
    )
    commit_timeout: timedelta = setting(
        "Longest a commit may take before its requests go to the spool, or are answered 503.",
        default=timedelta(seconds=10),
        at_least=1,
    )
    max_dead_letters_per_minute: int = setting(
        "Refused events that a collector process keeps in a minute; more are only counted.",
        default=6_000,
        at_least=1,
    )
    recording_max_buffered_bytes: int = setting(
        "Chunks of recordings that the buffer may hold; above it, 503.",
        default=2_000_000_000,
        at_least=1_000_000,
    )
    tracking_plan_dir: Path | None = setting(
        "Folder of the client's tracking plan, a JSON Schema for each type of event; empty for "
        "none.",
        default=None,
    )
    tracking_plan_mode: Literal["observe", "enforce"] = setting(
        "observe marks the events that contradict the plan, enforce refuses them.",
        default="observe",
    )
    tracking_plan_unknown: Literal["allow", "violation"] = setting(
        "Whether a type of event that the plan does not name contradicts it.", default="allow"
    )
    spool_dir: Path | None = setting(
        "Folder of the spool, which takes events in while PostgreSQL is away; empty for none.",
        default=None,
    )
    spool_max_bytes: int = setting(
        "Largest that the spool may grow, its log included; above it, 503.",
        default=2_000_000_000,
        at_least=10_000_000,
    )
    spool_min_free_bytes: int = setting(
        "Free space on its disk that the spool leaves alone; below it, 503.",
        default=500_000_000,
        at_least=0,
    )
    tracker_dir: Path | None = setting(
        "Folder of the built tracker, served as /js; empty where nginx serves it.", default=None
    )
    tracker_alias: str | None = setting(
        "Another path of the tracker, /a/app.js; its folder has the chunks too. Empty for none.",
        default=None,
    )
    collect_alias: str | None = setting(
        "Another path of /collect, for data-endpoint; empty for none.", default=None
    )
    site_dir: Path | None = setting("Demo site to serve at /; empty for none.", default=None)
    demo_bucket_dir: Path | None = setting(
        "Client bucket's folder to show at /demo/bucket; development only.", default=None
    )

    def __post_init__(self) -> None:
        """Raises ValueError naming what production must not run with."""
        try:
            self.machine_networks  # noqa: B018 - read to be checked
        except ValueError as exc:
            raise ValueError(f"LOCAL_NETWORKS: {exc}") from exc
        problems = self._key_problems() + self._redaction_problems() + self._alias_problems()
        if self.sluice_env == "production":
            problems += self._production_problems()
        if problems:
            raise ValueError("\n".join(problems))

    def _key_problems(self) -> list[str]:
        try:
            keys = parse_write_keys(self.write_keys or "")
        except ValueError as exc:
            return [f"WRITE_KEYS: {exc}"]
        if not keys and self.require_write_key == "server":
            return ["REQUIRE_WRITE_KEY=server needs WRITE_KEYS: without any, no server could send."]
        return []

    def _alias_problems(self) -> list[str]:
        try:
            self.aliases  # noqa: B018 - read to be checked
        except ValueError as exc:
            return str(exc).splitlines()
        return []

    def _redaction_problems(self) -> list[str]:
        problems = []
        try:
            self.redaction_detectors  # noqa: B018 - read to be checked
        except ValueError as exc:
            problems.append(f"REDACT: {exc}")
        try:
            self.redaction_allow_list  # noqa: B018
        except ValueError as exc:
            problems.append(f"REDACT_ALLOW: {exc}")
        return problems

    def _production_problems(self) -> list[str]:
        problems = []
        if not self.api_token:
            problems.append(
                "API_TOKEN is missing. In production the management routes want one: "
                "`openssl rand -hex 32` makes it."
            )
        elif len(self.api_token) < MIN_TOKEN_CHARS or any(
            known in self.api_token.lower() for known in _KNOWN_TOKENS
        ):
            problems.append(
                f"API_TOKEN is a default or shorter than {MIN_TOKEN_CHARS} characters: "
                "`openssl rand -hex 32` makes a good one."
            )
        if self.demo_bucket_dir is not None:
            problems.append("DEMO_BUCKET_DIR must be empty in production: it shows a bucket.")
        return problems

    @property
    def redaction_detectors(self) -> frozenset[Detector]:
        """The detectors of `redact`; raises ValueError for one that there is not."""
        names = {n.strip() for n in self.redact.lower().split(",") if n.strip()}
        if names == {"none"}:
            return frozenset()
        try:
            return frozenset(Detector(name) for name in names)
        except ValueError as exc:
            raise ValueError(f"{exc}; there are {', '.join(Detector)}, or none") from None

    @property
    def redaction_allow_list(self) -> dict[str, frozenset[str]]:
        """Fields by site of `redact_allow`; raises ValueError for an entry that is none."""
        allowed: dict[str, set[str]] = {}
        for entry in (e.strip() for e in self.redact_allow.split(",") if e.strip()):
            site, equals, field = (part.strip() for part in entry.partition("="))
            if not (site and equals and field):
                raise ValueError(f"{entry!r} is no site=field")
            allowed.setdefault(site, set()).add(field)
        return {site: frozenset(fields) for site, fields in allowed.items()}

    @property
    def machine_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of `local_networks`."""
        return tuple(ip_network(n.strip()) for n in self.local_networks.split(",") if n.strip())

    @property
    def aliases(self) -> Aliases:
        """Other names for the tracker and for `/collect`; raises ValueError for what is none."""
        return Aliases(tracker=self.tracker_alias, collect=self.collect_alias)

    @property
    def origins(self) -> frozenset[str]:
        """The allowed origins."""
        return frozenset(o.strip() for o in self.allowed_origins.split(",") if o.strip())

    @property
    def site_policy(self) -> SitePolicy:
        """What is to be done with sites."""
        return SitePolicy(
            allowed=parse_site_patterns(self.allowed_sites),
            new_sites=self.new_sites,
            max_sites=self.max_sites,
        )

    @property
    def keys_of_servers(self) -> WriteKeys | None:
        """The write keys; None without any."""
        sites = parse_write_keys(self.write_keys or "")
        return WriteKeys(sites, require=self.require_write_key) if sites else None

    @property
    def identity_event_names(self) -> frozenset[str]:
        """The names of `identity_events`."""
        return parse_identity_events(self.identity_events)
