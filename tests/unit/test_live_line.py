from __future__ import annotations

from typing import Any

from cli.live_line import describe


def a_status(**conservation: int) -> dict[str, Any]:
    client = {
        "sink": "client", "exported": 5, "pending": 3, "last_error": None,
        "last_delivered_at": None,
    }  # fmt: skip
    law = {"accepted": 10, "duplicates": 0} | conservation
    return {"conservation": law, "sinks": [client], "next_export_at": None}


def test_the_numbers_add_up_for_whoever_reads_them() -> None:
    line = describe(a_status(duplicates=2))
    assert "accepted 10 · buffered 3 · exported 5 · repeats left out 2 · " in line


def test_where_nothing_was_sent_twice_nothing_is_said_of_it() -> None:
    assert "repeats" not in describe(a_status())


def test_before_anything_answers_it_is_starting() -> None:
    assert describe(None) == "starting …"
