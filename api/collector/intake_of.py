"""What the acceptances of some requests come to as one transaction: rows, and what is counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress

from api.collector.acceptance import Acceptance, AcceptedEvent
from api.collector.recent_ids import RecentIds
from api.collector.rules import SITES_NOT_LEARNT
from api.collector.sites import SiteRules
from database.intake_batch import Intake, LedgerCount, LedgerKey
from database.row import event_id_of


def intake_of(
    acceptances: Iterable[Acceptance],
    sites: SiteRules = SITES_NOT_LEARNT,
    *,
    stored: RecentIds | None = None,
) -> Intake:
    """What one transaction writes for some requests.

    Of an event whose id is known to be `stored` no row: it is counted as accepted, and as a
    duplicate.
    """
    intake = Intake(rows=[], counts={}, letters=[], sites=[], links=[])
    accepted = list[AcceptedEvent]()
    for acceptance in acceptances:
        accepted += acceptance.accepted
        intake.letters += acceptance.letters
        intake.sites += acceptance.sites
        intake.links += acceptance.links
        if acceptance.refused:
            _count_refused(acceptance, intake, sites)
    _count_accepted(accepted, intake)
    if stored is not None:
        accepted = _leave_out_repeats(accepted, intake, stored)
    intake.rows = [event.row for event in accepted]
    return intake


def _leave_out_repeats(
    accepted: Sequence[AcceptedEvent], intake: Intake, stored: RecentIds
) -> list[AcceptedEvent]:
    """Those that are not known to be stored; the others are counted."""
    known = stored.know([event_id_of(event.row) for event in accepted])
    for event in compress(accepted, known):
        intake.add(LedgerKey(event.site_id, event.event_type, "duplicate"), LedgerCount(1, 0))
    return [event for event, is_known in zip(accepted, known, strict=True) if not is_known]


def _count_accepted(accepted: Sequence[AcceptedEvent], intake: Intake) -> None:
    totals: dict[tuple[str, str], list[int]] = {}
    for event in accepted:
        total = totals.get((event.site_id, event.event_type))
        if total is None:
            total = totals[event.site_id, event.event_type] = [0, 0, 0, 0, 0]
        total[0] += 1
        total[1] += event.payload_bytes
        if event.is_bot:
            total[2] += 1
        if event.redactions:
            total[3] += 1
        if event.violates_plan:
            total[4] += 1
    for name, total in totals.items():
        intake.add(LedgerKey(*name, "accepted"), LedgerCount(*total))


def _count_refused(acceptance: Acceptance, intake: Intake, sites: SiteRules) -> None:
    """Under the site that they name, if it is known or noted with them."""
    noted = {site.site_id for site in acceptance.sites}
    each = acceptance.refused_events if acceptance.whole_request_refused else 1
    for refused in acceptance.refused:
        site_id = sites.counted_as(refused.site_id or acceptance.refused_site_id, noted=noted)
        intake.add(LedgerKey(site_id, "", str(refused.reason)), LedgerCount(each, 0))
    for letter in acceptance.letters:
        site_id = sites.counted_as(letter.site_id, noted=noted)
        intake.add(LedgerKey(site_id, "", letter.reason), LedgerCount(0, 0, letters=1))
