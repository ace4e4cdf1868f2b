"""An invoice for a terminal, a spreadsheet, a program, and paper."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exporter.invoice.invoice import COLUMNS, ClientInvoice, Invoice

ROUNDING: Final = (
    "Each client's total is the exact price of its events in the month, rounded once, half up. A"
    " line is what the total grows by with it, days and sites in their order: lines add up to it."
)
NEW_SITES: Final = (
    "First seen: the first hour billed in this month, by usage records, of a site that no receipt"
    " of an earlier day bills."
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def render_text(invoice: Invoice, *, now: datetime) -> str:
    """Sites of each client with their totals; days are in the other formats."""
    parts = [f"Invoice for {invoice.month} (UTC), made {_moment(now)}"]
    for client in invoice.clients:
        bill = client.bill
        parts += ["", f"Client {_plain(bill.client_id)}, stack {bill.stack_id}"]
        parts += [f"  {line}" for line in proof_lines(client)]
        table = client.by_site()
        rows = [
            (_plain(site), f"{events:,}", f"{days}", f"{amount:,.2f}")
            for site, events, amount, days in table.itertuples(index=False)
        ]
        rows.append(("total", f"{client.events:,}", "", f"{client.total:,.2f} {invoice.currency}"))
        parts += ["", *_columns(["site", "events", "days", "amount"], rows)]
        if len(client.shares) > 1:
            parts += [""] + [
                f"  from {s.tier.from_events:,} events on at {s.tier.per_thousand} a thousand:"
                f" {s.events:,}"
                for s in client.shares
            ]
        if bill.first_seen:
            parts += ["", "  New sites, and the first hour that is billed of them:"]
            parts += [
                f"    {_plain(site)}  {_moment(hour)}" for site, hour in bill.first_seen.items()
            ]
    if len(invoice.clients) != 1:
        parts += ["", f"All {len(invoice.clients)} clients: {invoice.events:,} events,"
                  f" {invoice.total:,.2f} {invoice.currency}"]  # fmt: skip
    return "\n".join(parts) + "\n"


def render_csv(invoice: Invoice, *, now: datetime) -> str:  # noqa: ARG001
    """A row for each client, day and site.

    A name that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*COLUMNS, "currency", "site_first_seen", "month_is_complete"])
    for client in invoice.clients:
        first_seen, is_complete = client.bill.first_seen, client.bill.is_complete
        for client_id, day, site, events, amount in client.lines.itertuples(index=False):
            seen = first_seen.get(site)
            writer.writerow(
                [_cell(client_id), day.isoformat(), _cell(site), events, amount, invoice.currency,
                 seen.isoformat() if seen else "", str(is_complete).lower()]
            )  # fmt: skip
    return out.getvalue()


def render_json(invoice: Invoice, *, now: datetime) -> str:
    """Everything; money is text, so that no reader makes a float of it."""
    document = {
        "format": "sluice-invoice/1",
        "month": str(invoice.month),
        "made_at": now.isoformat(),
        "currency": invoice.currency,
        "tiers": [
            {"from_events": t.from_events, "per_thousand": str(t.per_thousand)}
            for t in invoice.tiers
        ],
        "rounding": ROUNDING,
        "events": invoice.events,
        "total": str(invoice.total),
        "clients": [_client_json(client) for client in invoice.clients],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def render_html(invoice: Invoice, *, now: datetime) -> str:
    """One page that needs nothing beside it: for paper, a desk and a phone."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": _moment, "count": "{:,}".format, "money": "{:,.2f}".format}
    return environment.get_template("invoice.html.jinja").render(
        invoice=invoice, now=now, proof_lines=proof_lines, rounding=ROUNDING, new_sites=NEW_SITES
    )


def proof_lines(client: ClientInvoice) -> list[str]:
    """What the bill rests on, in words."""
    bill, proof = client.bill, client.bill.proof
    lines = []
    if proof.first_segment is None:
        lines.append("No receipt of this month.")
    else:
        lines.append(
            f"Receipts {proof.first_segment}..{proof.last_segment} ({proof.receipts:,}): chain"
            f" verified by digest and signature from receipt {proof.walked_from} on, usage records"
            f" agree; {client.events:,} events billed, equal to the receipts to the event."
        )
        lines.append(
            f"SHA-256 of the last: {proof.last_sha256}; signed by {', '.join(proof.keys)}."
        )
    if not bill.is_complete:
        until = _moment(bill.covered_until) if bill.covered_until else "nothing"
        lines.append(f"INCOMPLETE: the receipts cover the month until {until} only.")
    return lines


def _client_json(client: ClientInvoice) -> dict[str, Any]:
    bill, proof = client.bill, client.bill.proof
    return {
        "client_id": bill.client_id,
        "stack_id": bill.stack_id,
        "is_complete": bill.is_complete,
        "covered_until": bill.covered_until.isoformat() if bill.covered_until else None,
        "receipts": {
            "first_segment": proof.first_segment,
            "last_segment": proof.last_segment,
            "number": proof.receipts,
            "last_sha256": proof.last_sha256,
            "chain_verified_from_segment": proof.walked_from,
            "signed_by": list(proof.keys),
        },
        "events": client.events,
        "total": str(client.total),
        "tiers": [
            {
                "from_events": s.tier.from_events,
                "per_thousand": str(s.tier.per_thousand),
                "events": s.events,
                "exact": str(s.exact),
            }
            for s in client.shares
        ],
        "sites": [
            {"site_id": site, "events": int(events), "amount": str(amount), "days": int(days)}
            for site, events, amount, days in client.by_site().itertuples(index=False)
        ],
        "new_sites": [
            {"site_id": site, "first_seen": hour.isoformat()}
            for site, hour in bill.first_seen.items()
        ],
        "lines": [
            {"day": day.isoformat(), "site_id": site, "events": int(events), "amount": str(amount)}
            for _, day, site, events, amount in client.lines.itertuples(index=False)
        ],
    }


def _columns(names: list[str], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The first to the left, numbers to the right, on their decimal places."""
    cells = [tuple(names), *rows]
    widths = [
        max(len(row[n].partition(" ")[0] if n else row[n]) for row in cells) for n in range(4)
    ]
    return [
        "  "
        + "  ".join(
            row[n].ljust(widths[n]) if n == 0 else _right(row[n], widths[n]) for n in range(4)
        ).rstrip()
        for row in cells
    ]


def _right(text: str, width: int) -> str:
    number, space, unit = text.partition(" ")
    return number.rjust(width) + space + unit


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _plain(text: str) -> str:
    """Names come out of a bucket: none may move the terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
