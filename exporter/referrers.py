"""What kind of place a visitor came from, by the host that sent them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from publicsuffixlist import PublicSuffixList

from exporter.places import ALIASES, PLACES

CACHED_HOSTS: Final = 20_000


class Place(NamedTuple):
    """A kind (`search`, `social`, …), and the name that a report calls it by."""

    type: str
    source: str | None


def judge_referrer(referrer_host: str, *own_hosts: str | None) -> Place:
    """Internal when it shares a registrable domain with a host of ours; else what it is known as.

    A host that the table does not know is a referral, named by its registrable domain.
    """
    domain = registrable_domain(referrer_host)
    if any(host and registrable_domain(host) == domain for host in own_hosts):
        return Place("internal", None)
    return find_place(referrer_host) or Place("referral", domain or None)


def name_source(utm_source: str) -> Place | None:
    """The place that a campaign's source names, by name, alias or domain."""
    name = utm_source.strip().lower()
    return _NAMES.get(ALIASES.get(name, name)) or (find_place(name) if "." in name else None)


@lru_cache(maxsize=CACHED_HOSTS)
def find_place(host: str) -> Place | None:
    """The table's word on a host."""
    host = host.lower().rstrip(".")
    labels = host.split(".")
    for start in range(len(labels) - 1):
        if place := _DOMAINS.get(".".join(labels[start:])):
            return place
    domain = registrable_domain(host)
    if host.removeprefix("www.") != domain:
        return None
    return _BRANDS.get(domain.partition(".")[0])


@lru_cache(maxsize=CACHED_HOSTS)
def registrable_domain(host: str) -> str:
    """`shop.co.uk` of `www.shop.co.uk`; an address, or a name without a domain, is its own."""
    host = host.lower().rstrip(".")
    if ":" in host or host.rpartition(".")[2].isdigit():
        return host
    return _public_suffixes().privatesuffix(host) or host


@lru_cache(maxsize=1)
def _public_suffixes() -> PublicSuffixList:
    # Private suffixes included: a.github.io and b.github.io are two sites.
    return PublicSuffixList()


_NAMES: Final = {
    source: Place(kind, source) for kind, sources in PLACES.items() for source in sources
}
_PATTERNS: Final = {
    pattern: Place(kind, source)
    for kind, sources in PLACES.items()
    for source, patterns in sources.items()
    for pattern in patterns.split()
}
_DOMAINS: Final = {p: place for p, place in _PATTERNS.items() if not p.endswith(".*")}
_BRANDS: Final = {p[:-2]: place for p, place in _PATTERNS.items() if p.endswith(".*")}
