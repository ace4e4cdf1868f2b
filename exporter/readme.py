"""What whoever opens the bucket cold reads first."""

from __future__ import annotations

from collections.abc import Iterable

from core.event import SCHEMA_VERSION
from exporter.schemas.dataset import Dataset
from exporter.schemas.location import Location


def write_readme(client_id: str, datasets: Iterable[Dataset], location: Location) -> str:
    """Markdown; the same for as long as nothing that it speaks of changes."""
    described = list(datasets)
    folders = "\n".join(f"| `{d.name}/` | {d.meaning} |" for d in described)
    events = next((d for d in described if d.name == "events"), None)
    holds = f"The events of {client_id}, delivered by Sluice: a first-party pipeline that collects what happens on a site and delivers it, raw and complete, into its owner's own bucket."
    is_vendors = any(d.name == "usage" for d in described)
    if is_vendors:
        holds = f"What {client_id} is billed by, and a copy of what was delivered to it where there are folders for it: the vendor's side of Sluice, a first-party event pipeline."
    verify = (
        f"sluice verify {location.address} --prefix {location.prefix}" + " --metering" * is_vendors
    )
    reading = ""
    if events is not None:
        reading = f"""
## Reading it

```sql
-- DuckDB
SELECT event_type, count(*)
FROM read_parquet('{location.url()}/events/**/*.parquet',
                  hive_partitioning = true, hive_types = {{site_id: VARCHAR}},
                  union_by_name = true)
WHERE site_id = 'shop.example' AND year = 2026 AND month = 11
GROUP BY ALL;
```

Ready statements for Athena, Glue, Snowflake, BigQuery, ClickHouse, DuckDB and Spark stand in `_sluice/schema/v{SCHEMA_VERSION}/`, and each dataset's columns as JSON beside them.
`site_id` is percent-encoded in the key, as Hive and Spark do it. Point a crawler at one of the folders, not at this one: everything is described already.
"""
    return f"""\
# What this folder holds

{holds} One stack writes here, and nobody else should: `_sluice/owner.json` names it.

| folder | holds |
|---|---|
{folders}
| `_sluice/` | what describes and proves the rest |

Files are cut by time, in UTC, as their folders say, and never changed once a manifest lists them:

    {location.prefix}/{(events or described[0]).path}/SEGMENT-PART.{(events or described[0]).format}
{reading}
## Relying on it

- `_sluice/manifests/SEGMENT.json` lists a segment's files, with rows, bytes and SHA-256, and what was received, accepted, refused and found to be a repeat. It is written last: a file that no manifest lists is none yet. There is one for every window, the empty ones too, so that silence can be told from loss.
- `_sluice/watermark.json`: everything received before it is delivered.
- `_sluice/receipts/SEGMENT.json`: the same, signed, chained, and what is billed for it; `_sluice/keys/` has the public keys.
- `{verify}` holds the bucket against all of these, with read access only, and exits 1 when something is missing or was changed.

## Keeping it

Files may be moved to a colder storage class, or deleted when they are old enough; then `sluice verify` says that they are missing. What stands in `_sluice/` is small: keep it.
"""
