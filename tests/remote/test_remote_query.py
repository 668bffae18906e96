"""List queries are validated before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from easytracking_sync.remote import ListQuery
from easytracking_sync.terms import Window, WindowKind

START = datetime(2024, 3, 1)  # noqa: DTZ001 - windows are naive local time


def window(kind: WindowKind = WindowKind.RECEIVED, *, days: float, seconds: float = 0) -> Window:
    return Window(kind, START, START + timedelta(days=days, seconds=seconds))


def test_a_reception_window_is_sent_in_seconds() -> None:
    assert ListQuery(window(days=1, seconds=5), phase1=False).parameters == {
        "invoiceReceivedDateTimeFrom": "2024-03-01 00:00:00",
        "invoiceReceivedDateTimeTo": "2024-03-02 00:00:05",
        "fase1": "false",
        "top": "100000",
    }


def test_a_document_date_window_is_sent_in_days() -> None:
    query = ListQuery(
        window(WindowKind.DOCUMENT_DATE, days=31), receiver_piva="0200777777", receiver_cf="", phase2=True, top=5
    )
    assert query.parameters == {
        "invoiceDateFrom": "2024-03-01",
        "invoiceDateTo": "2024-04-01",
        "receiverPIVA": "0200777777",
        "fase2": "true",
        "top": "5",
    }


@pytest.mark.parametrize(("days", "phases"), [(31, {}), (365, {"phase1": True}), (365, {"phase2": False})])
def test_the_longest_window_is_accepted_and_one_second_more_is_refused(days: int, phases: dict[str, Any]) -> None:
    assert ListQuery(window(days=days), **phases).top == 100_000
    with pytest.raises(ValueError, match="at most"):
        ListQuery(window(days=days, seconds=1), **phases)


@pytest.mark.parametrize("top", [0, -1, 100_001])
def test_top_is_1_to_100000(top: int) -> None:
    with pytest.raises(ValueError, match="top"):
        ListQuery(window(days=1), top=top)


def test_moments_with_a_zone_or_a_fraction_raise_value_error() -> None:
    for start in (START.replace(tzinfo=UTC), START.replace(microsecond=1)):
        with pytest.raises(ValueError, match="naive"):
            ListQuery(Window(WindowKind.RECEIVED, start, start))
