from __future__ import annotations

import json

import pytest

from api.collector.acceptance import refuse_request
from api.collector.answer import encode_answer, encode_failure
from core.refusal import RefusalReason, Refused
from tests.conftest import a_batch, an_event
from tests.unit.accepting import accept


def test_all_is_well() -> None:
    acceptance = accept(a_batch(an_event(), an_event()))
    assert json.loads(encode_answer(acceptance)) == {"accepted": 2, "rejected": 0}
    assert acceptance.status == 200


def test_each_refused_event_is_named_in_order() -> None:
    acceptance = accept(a_batch(7, an_event(), an_event(title=3)))
    acceptance.refused.reverse()
    answer = json.loads(encode_answer(acceptance))
    assert (answer["accepted"], answer["rejected"]) == (1, 2)
    assert [error["index"] for error in answer["errors"]] == [0, 2]
    assert answer["errors"][1]["field"] == "title"
    assert acceptance.status == 200


def test_at_most_a_hundred_errors_are_listed_and_all_are_counted() -> None:
    answer = json.loads(encode_answer(accept(a_batch(*[7] * 150))))
    assert answer["rejected"] == 150
    assert len(answer["errors"]) == 100


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (
            reason,
            {
                "timeout": 408,
                "too_large": 413,
                "unsupported_content_type": 415,
                "write_key_refused": 401,
                "site_refused": 403,
                "site_quarantined": 403,
                "bot": 200,
                "do_not_track": 200,
                "no_consent": 200,
                "suppressed": 200,
                "rate_limited": 429,
            }.get(reason.value, 400),
        )
        for reason in RefusalReason
    ],
)
def test_a_refused_request_has_the_status_of_its_reason(reason: RefusalReason, status: int) -> None:
    acceptance = refuse_request(Refused(reason, "why"), site_id="a.example")
    assert acceptance.status == status
    assert json.loads(encode_answer(acceptance)) == {
        "accepted": 0, "rejected": 1, "errors": [{"reason": reason.value, "message": "why"}],
    }  # fmt: skip


def test_a_failure_acknowledges_nothing() -> None:
    assert json.loads(encode_failure("queue_full", "later"))["accepted"] == 0
