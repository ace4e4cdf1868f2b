"""The policy that the settings say; the database's rules are learnt from it."""

from __future__ import annotations

from collections.abc import Callable

from api.collector.acceptance import Limits, Policy
from api.collector.cookieless import SaltKeeper
from api.collector.geo import GeoReader
from api.collector.letter_redaction import redact_payload
from api.collector.plan_in_force import PlanInForce
from api.collector.redaction import Redactor
from api.collector.rules import Rules
from api.collector.sites import SiteRules
from api.settings import ApiSettings


def policy_of(
    settings: ApiSettings, *, plan: PlanInForce | None, geo: GeoReader, salts: SaltKeeper
) -> Policy:
    """What this stack accepts, and what it does to an event first."""
    redactor = redactor_of(settings)
    return Policy(
        limits=Limits(
            max_batch_events=settings.max_batch_events,
            max_event_bytes=settings.max_event_bytes,
            max_depth=settings.max_depth,
            max_string_chars=settings.max_string_chars,
            max_stored_bytes=settings.max_commit_bytes,
        ),
        rules=Rules(sites=SiteRules(settings.site_policy)),
        write_keys=settings.keys_of_servers,
        consent_mode=settings.consent_mode,
        identity_events=settings.identity_event_names,
        plan=plan,
        redactor=redactor,
        bots=settings.bots,
        cookieless=settings.cookieless,
        salts=salts,
        ip_mode=settings.ip_mode,
        locate=geo.locate,
        **({} if redactor is None else {"redact_letter": _letters_by(redactor)}),
    )


def redactor_of(settings: ApiSettings) -> Redactor | None:
    """None where nothing is to be looked for."""
    if not settings.redaction_detectors:
        return None
    return Redactor(settings.redaction_detectors, allow=settings.redaction_allow_list)


def recording_redactor_of(settings: ApiSettings) -> Redactor | None:
    """Of what a page showed: the numbers in its style sheets are nobody's."""
    if not settings.redaction_detectors:
        return None
    allow = settings.redaction_allow_list
    everywhere = allow.get("*", frozenset()) | {"_cssText"}
    return Redactor(settings.redaction_detectors, allow=allow | {"*": everywhere})


def _letters_by(redactor: Redactor) -> Callable[[bytes], str]:
    return lambda payload: redact_payload(payload, redactor)
