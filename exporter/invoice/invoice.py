"""An invoice: clients' bills with prices, as tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from exporter.invoice.bill import Bill
from exporter.invoice.month import Month
from exporter.invoice.prices import Tier, TierShare, amounts_of, share_out, total_of

COLUMNS = ["client_id", "day", "site_id", "events", "amount"]


@dataclass(frozen=True, slots=True)
class ClientInvoice:
    """A bill with its prices."""

    bill: Bill
    lines: pd.DataFrame
    """A row for each day and site: `COLUMNS`; amounts are Decimal."""
    shares: list[TierShare]
    events: int
    total: Decimal

    def by_site(self) -> pd.DataFrame:
        """A row for each site: events, amount, days on which it had some; most events first."""
        grouped = self.lines.groupby("site_id", sort=True)
        table = grouped.agg(
            events=("events", "sum"), amount=("amount", "sum"), days=("day", "count")
        )
        return table.sort_values("events", ascending=False, kind="stable").reset_index()


@dataclass(frozen=True, slots=True)
class Invoice:
    """One month, one client or many."""

    month: Month
    currency: str
    tiers: tuple[Tier, ...]
    clients: list[ClientInvoice]

    @property
    def total(self) -> Decimal:
        """Of the clients' totals."""
        return sum((client.total for client in self.clients), Decimal("0.00"))

    @property
    def events(self) -> int:
        """Of all clients."""
        return sum(client.events for client in self.clients)


def make_invoice(
    bills: Iterable[Bill], *, month: Month, tiers: tuple[Tier, ...], currency: str
) -> Invoice:
    """Put prices on bills. Lines add up to each client's total, and events to the receipts'."""
    return Invoice(month, currency, tiers, [_price(bill, tiers) for bill in bills])


def _price(bill: Bill, tiers: tuple[Tier, ...]) -> ClientInvoice:
    billed = sorted((day, site, events) for (day, site), events in bill.billed.items() if events)
    amounts = amounts_of((events for _, _, events in billed), tiers)
    lines = _table(
        [
            dict(zip(COLUMNS, (bill.client_id, *line, amount), strict=True))
            for line, amount in zip(billed, amounts, strict=True)
        ]
    )
    events = bill.billed.total()
    total = total_of(events, tiers)
    assert sum(amounts, Decimal(0)) == total
    return ClientInvoice(bill, lines, share_out(events, tiers), events, total)


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({"events": "int64", "amount": object})
