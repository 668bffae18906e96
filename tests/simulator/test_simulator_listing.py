"""Section 4 of the vendor's document: the list of passive invoices."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from easytracking_simulator import WITHOUT_FIELD, Counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Desk

FIELDS = [
    *("id", "senderPIVA", "senderCF", "receiverPIVA", "receiverCF", "data", "number", "documentType", "sdiId"),
    *("dataRicezione", "fileName", "progressivoAnnualeCaricamento", "countryChannel"),
]
RECEIVED = ("invoiceReceivedDateTimeFrom", "invoiceReceivedDateTimeTo")
DATED = ("invoiceDateFrom", "invoiceDateTo")


def between(names: tuple[str, str], first: str, last: str, **more: str) -> dict[str, str]:
    return {names[0]: first, names[1]: last, **more}


def test_an_element_has_the_thirteen_fields_in_their_formats(desk_with: Callable[..., Desk]) -> None:
    elements = desk_with(documents=80, p7m_share=0.5, romania_share=0.2).invoices().json()["invoices"]
    assert [list(element) for element in elements] == [FIELDS] * 80
    for element in elements:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", element["data"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", element["dataRicezione"])
        assert re.search(r"\.xml(\.p7m)?$", element["fileName"])
        assert element["progressivoAnnualeCaricamento"] // 10**6 == int(element["dataRicezione"][2:4])
    assert {element["countryChannel"] for element in elements} == {0, 1}
    assert all(isinstance(element["id"], int) for element in elements)


def test_reception_times_are_local(desk: Desk) -> None:
    added = desk.simulator.add_document("demo1")
    assert desk.simulator.document(added).element()["dataRicezione"] == "2024-06-03 12:00:00"


def test_the_total_counts_the_listed_documents(desk: Desk) -> None:
    assert desk.invoices().json()["total"] == 12


@pytest.mark.parametrize(("counts", "total"), [(Counts.ANSWER, 5), (Counts.MATCH, 12)])
def test_top_limits_the_answer(desk_with: Callable[..., Desk], counts: Counts, total: int) -> None:
    answer = desk_with(total_counts=counts).invoices(top="5").json()
    assert (len(answer["invoices"]), answer["total"]) == (5, total)


def test_an_account_sees_its_own_documents_only(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(accounts=3)
    assert desk.listed() == list(desk.simulator.ids("demo1"))
    assert len(desk.simulator.ids()) == 12


@pytest.mark.parametrize(
    ("first", "last", "found"),
    [
        ("2024-05-10 09:00:00", "2024-05-10 09:00:02", [2, 3, 4]),
        ("2024-05-10 09:00:01", "2024-05-10 09:00:01", [3]),
        ("2024-05-10 09:00:03", "2024-05-10 09:00:09", []),
    ],
)
def test_a_reception_range_includes_both_ends(
    desk_with: Callable[..., Desk], first: str, last: str, found: list[int]
) -> None:
    desk = desk_with(documents=0)
    for second in range(3):
        desk.simulator.add_document("demo1", doc_id=second + 2, dataRicezione=f"2024-05-10 09:00:0{second}")
    assert desk.listed(**between(RECEIVED, first, last)) == found


def test_a_date_range_includes_both_ends(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(documents=0)
    for day in range(1, 6):
        desk.simulator.add_document("demo1", doc_id=day, data=f"2024-05-0{day}")
    assert desk.listed(**between(DATED, "2024-05-02", "2024-05-04")) == [2, 3, 4]


def test_a_document_without_reception_is_found_by_its_date_only(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(documents=0)
    added = desk.simulator.add_document("demo1", data="2024-05-02", dataRicezione=None)
    assert desk.listed(**between(RECEIVED, "2024-05-01 00:00:00", "2024-05-20 00:00:00")) == []
    assert desk.listed(**between(DATED, "2024-05-01", "2024-05-20")) == [added]


@pytest.mark.parametrize(
    ("query", "found"),
    [({"receiverPIVA": "0200777777"}, [1, 2]), ({"receiverCF": "C"}, [2, 3]),
     ({"receiverPIVA": "0200777777", "receiverCF": "C"}, [2]), ({}, [1, 2, 3])],
)  # fmt: skip
def test_receiver_filters_may_be_either_both_or_neither(
    desk_with: Callable[..., Desk], query: dict[str, str], found: list[int]
) -> None:
    desk = desk_with(documents=0)
    desk.simulator.add_document("demo1", doc_id=1, receiverPIVA="0200777777", receiverCF="")
    desk.simulator.add_document("demo1", doc_id=2, receiverPIVA="0200777777", receiverCF="C")
    desk.simulator.add_document("demo1", doc_id=3, receiverPIVA="1", receiverCF="C")
    assert desk.listed(**query) == found


def test_phases_filter_one_by_one_and_together(desk: Desk) -> None:
    a, b, c, d, *_ = ids = desk.listed()
    desk.phase("set-fase-1", [a, b])
    desk.phase("set-fase-2", [b, c])
    assert desk.listed(fase1="true") == [a, b]
    assert desk.listed(fase1="false", fase2="true") == [c]
    assert desk.listed(fase1="true", fase2="true") == [b]
    assert desk.listed(fase1="false", fase2="false") == ids[3:]
    assert d in desk.listed(fase1="false")


BAD: list[dict[str, str]] = [
    between(DATED, "2024-5-1", "2024-05-02"),
    between(DATED, "01/05/2024", "02/05/2024"),
    between(DATED, "2024-05-01 00:00:00", "2024-05-02 00:00:00"),
    between(DATED, "2024-02-30", "2024-03-01"),
    between(RECEIVED, "2024-05-01", "2024-05-02"),
    between(RECEIVED, "2024-05-01T00:00:00", "2024-05-02T00:00:00"),
    between(RECEIVED, "2024-05-01 24:00:00", "2024-05-02 00:00:00"),
    between(RECEIVED, "2024-05-02 00:00:00", "2024-05-01 00:00:00"),
    {DATED[0]: "2024-05-01"},
    {RECEIVED[1]: "2024-05-01 00:00:00"},
    between(DATED, "2024-05-01", "2024-05-02", **between(RECEIVED, "2024-05-01 00:00:00", "2024-05-02 00:00:00")),
    {"fase1": "True"},
    {"fase2": "1"},
    {"top": "100001"},
    {"top": "-1"},
    {"top": "ten"},
]


@pytest.mark.parametrize("query", BAD)
def test_a_bad_query_is_400_with_a_message(desk: Desk, query: dict[str, str]) -> None:
    reply = desk.invoices(**query)
    assert reply.status == 400
    assert list(reply.json()) == ["message"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (between(DATED, "2024-03-01", "2024-04-01"), 200),
        (between(DATED, "2024-03-01", "2024-04-02"), 400),
        (between(RECEIVED, "2024-03-01 00:00:00", "2024-04-01 00:00:00"), 200),
        (between(RECEIVED, "2024-03-01 00:00:00", "2024-04-01 00:00:01"), 400),
        (between(RECEIVED, "2023-01-01 00:00:00", "2024-01-01 00:00:00", fase1="false"), 200),
        (between(RECEIVED, "2023-01-01 00:00:00", "2024-01-01 00:00:01", fase1="false"), 400),
        (between(DATED, "2023-01-01", "2024-01-01", fase2="true"), 200),
        (between(DATED, "2023-01-01", "2024-01-02", fase2="true"), 400),
    ],
)
def test_a_range_is_31_days_at_most_and_365_with_a_phase(desk: Desk, query: dict[str, str], status: int) -> None:
    assert desk.invoices(**query).status == status


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (between(DATED, "2024-03-01", "2024-03-31"), 200),
        (between(DATED, "2024-03-01", "2024-04-01"), 400),
        (between(RECEIVED, "2023-01-01 00:00:00", "2023-12-31 23:59:59", fase1="false"), 200),
        (between(RECEIVED, "2023-01-01 00:00:00", "2024-01-01 00:00:00", fase1="false"), 400),
    ],
)
def test_the_strict_reading_counts_both_end_days(
    desk_with: Callable[..., Desk], query: dict[str, str], status: int
) -> None:
    assert desk_with(inclusive_day_count=True).invoices(**query).status == status


def test_an_option_makes_a_range_compulsory(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(range_required=True)
    assert desk.invoices(fase1="false").status == 400
    assert desk.invoices(**between(DATED, "2024-05-01", "2024-05-20")).status == 200


@pytest.mark.parametrize(
    ("counts", "top", "status"),
    [(Counts.MATCH, "100000", 413), (Counts.MATCH, "5", 413), (Counts.ANSWER, "5", 200), (Counts.ANSWER, "", 413)],
)
def test_too_many_elements_are_413(desk_with: Callable[..., Desk], counts: Counts, top: str, status: int) -> None:
    assert desk_with(list_cap=10, cap_counts=counts).invoices(top=top).status == status


def test_as_many_as_the_cap_are_not_too_many(desk_with: Callable[..., Desk]) -> None:
    assert desk_with(list_cap=12).invoices().status == 200


def test_history_needs_several_windows(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(documents=60, history_days=1100.0)
    newest = desk.listed(**between(RECEIVED, "2023-06-05 00:00:00", "2024-06-03 12:00:00", fase1="false"))
    assert 5 < len(newest) < 40


def test_documents_arrive_by_the_clock(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(documents=0, arrivals_per_minute=2.0)
    assert desk.listed() == []
    desk.clock.forward(seconds=90)
    arrived = desk.invoices().json()["invoices"]
    moments = [element["dataRicezione"] for element in arrived]
    assert moments == ["2024-06-03 12:00:30", "2024-06-03 12:01:00", "2024-06-03 12:01:30"]


def test_a_restarted_simulator_gives_arrivals_new_ids(desk_with: Callable[..., Desk]) -> None:
    def run() -> set[int]:
        desk = desk_with(documents=5, arrivals_per_minute=6.0, until=datetime(2024, 6, 1, tzinfo=UTC))
        desk.clock.forward(minutes=2)
        return set(desk.listed())

    first, second = run(), run()
    assert len(first) == len(second) == 17
    assert len(first & second) == 5


def test_after_a_jump_of_the_clock_each_call_adds_a_thousand_arrivals(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(documents=0, arrivals_per_minute=60.0, token_seconds=10**9)
    desk.clock.forward(days=3650)
    assert [len(desk.listed()) for _ in range(2)] == [1000, 2000]


def test_the_list_is_compressed_for_clients_that_accept_gzip(desk: Desk) -> None:
    plain = desk.invoices().body
    desk.headers["Accept-Encoding"] = "gzip"
    reply = desk.invoices()
    assert reply.header("Content-Encoding") == "gzip"
    assert gzip.decompress(reply.body) == plain


def test_fields_set_from_outside_are_listed_unchanged(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(documents=0)
    desk.simulator.add_document("demo1", number=None, senderCF=WITHOUT_FIELD, countryChannel="\ud800")
    (element,) = desk.invoices().json()["invoices"]
    assert element["number"] is None
    assert "senderCF" not in element
    assert element["countryChannel"] == "\ud800"


def test_a_field_the_list_does_not_have_is_refused(desk: Desk) -> None:
    with pytest.raises(ValueError, match="nummer"):
        desk.simulator.add_document("demo1", nummer="1")


def test_shuffled_lists_hold_the_same_documents(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(documents=40, shuffled=True)
    first, second = desk.listed(), desk.listed()
    assert first != second
    assert sorted(first) == sorted(second) == list(desk.simulator.ids())
