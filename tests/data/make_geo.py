"""Make the databases of places that the tests read: `python -m tests.data.make_geo`.

Only documentation ranges (RFC 5737, RFC 3849) stand in them. The records are laid out as in
GeoLite2-City, with what its readers pass over as well, as in DB-IP's city lite, and flat.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

FOLDER = Path(__file__).parent


def city(country: str, *subdivisions: str) -> dict[str, Any]:
    """A record as GeoLite2-City has it."""
    return {
        "continent": {"code": "EU", "geoname_id": 6255148, "names": {"en": "Europe"}},
        "country": {"iso_code": country, "geoname_id": 1, "names": {"en": country, "de": country}},
        "registered_country": {"iso_code": "NL", "geoname_id": 2, "names": {"en": "Netherlands"}},
        "subdivisions": [
            {"iso_code": code, "geoname_id": 3, "names": {"en": code}} for code in subdivisions
        ],
        "city": {"geoname_id": 4, "names": {"en": "Somewhere"}},
        "location": {"accuracy_radius": 20, "latitude": 47.0, "longitude": 8.0},
    }


CITIES: dict[str, dict[str, Any]] = {
    "192.0.2.0/25": city("CH", "ZH"),
    "192.0.2.128/25": city("DE", "BY"),
    # The largest subdivision comes first: England, then a county in it.
    "198.51.100.0/24": city("GB", "ENG", "KEN"),
    # DB-IP's lite files name a subdivision without its code.
    "203.0.113.0/25": city("US") | {"subdivisions": [{"names": {"en": "California"}}]},
    # An address that is announced from everywhere belongs to no country, only to a register.
    "203.0.113.128/25": {"registered_country": {"iso_code": "US"}, "traits": {"is_anycast": True}},
    "2001:db8::/33": city("FR", "IDF"),
    "2001:db8:8000::/33": {"country": {"iso_code": "JP"}},
}
FLAT: dict[str, dict[str, Any]] = {
    "192.0.2.0/24": {"country": "CH", "country_name": "Switzerland"},
    "198.51.100.0/24": {"country_code": "GB"},
}
NO_PLACES: dict[str, dict[str, Any]] = {
    "192.0.2.0/24": {"autonomous_system_number": 64496, "autonomous_system_organization": "Test"},
}


def write(name: str, networks: dict[str, dict[str, Any]], *, kind: str, ip_version: int) -> None:
    """One database."""
    writer = MMDBWriter(
        ip_version,
        database_type=kind,
        languages=["en", "de"],
        description="Documentation ranges, for Sluice's tests",
        ipv4_compatible=ip_version == 6,
    )
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(FOLDER / name))


def main() -> None:
    """All of them."""
    write("geo-test.mmdb", CITIES, kind="GeoLite2-City", ip_version=6)
    write("geo-flat-test.mmdb", FLAT, kind="ipinfo generic_country.mmdb", ip_version=4)
    write("asn-test.mmdb", NO_PLACES, kind="GeoLite2-ASN", ip_version=4)


if __name__ == "__main__":
    main()
