"""Rows 1, 2, 4 and 5 of the fault matrix: odd answers, refused tokens, lists too large, pauses asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

import pytest
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_archived, entries
from tests.support.harness import NOON, SMALL, Harness, Wish, cycle_of, list_through, settle

from easytracking_simulator import Call, Fault, Faults, Kind, Rate, lost, status, torn
from easytracking_sync.errors import ServiceUnavailable
from easytracking_sync.terms import PauseReason

TWO = {"demo1": Wish(), "demo2": Wish()}
HOUR = timedelta(hours=1)

NO_LIST = {
    "timeout": Fault(kind=Kind.TIMEOUT),
    "unreachable": Fault(kind=Kind.UNREACHABLE),
    "lost": lost(),
    "500": status(500),
    "502-page": status(502, body=b"<html>Bad Gateway</html>"),
    "503": status(503),
    "404": status(404),
    "302": status(302),
    "204": status(204),
    "page-with-200": Fault(kind=Kind.HTML),
    "empty": Fault(kind=Kind.EMPTY),
    "garbage": Fault(kind=Kind.GARBAGE),
    "reset-in-the-body": torn(200),
    "ends-early-silently": torn(200, framed=False),
    "cut-json-or-gzip": Fault(kind=Kind.TRUNCATED, at=-3),
    "null": Fault(kind=Kind.BODY, body=b"null"),
    "a-list": Fault(kind=Kind.BODY, body=b"[]"),
    "no-invoices": Fault(kind=Kind.BODY, body=b'{"total": 3}'),
    "invoices-that-are-text": Fault(kind=Kind.BODY, body=b'{"invoices": "none", "total": 0}'),
}


@pytest.mark.parametrize("compress", [True, False])
def test_row_01_an_answer_that_is_no_list_changes_nothing_and_is_retried(make: Make, *, compress: bool) -> None:
    """A timeout, a 5xx, a page with 200, cut or wrong JSON: no state change, then the whole list all the same."""
    harness = make(replace(SMALL, documents=3, compress=compress))
    for name, fault in NO_LIST.items():
        cycle = cycle_of(harness, harness.accounts["demo1"])
        harness.simulator.script("list", fault)
        with pytest.raises(ServiceUnavailable, match="demo1: list: "):
            pytest.fail(f"{name} passed as a list: {cycle.step()}")
        assert entries(harness) == {}
    list_through(harness, cycle)
    assert set(entries(harness)) == set(harness.simulator.ids())
    assert cycle.is_complete


def test_row_01_a_failing_list_is_retried_with_jitter(make: Make) -> None:
    """Five failures wait no longer than 1 + 2 + 4 + 8 + 16 seconds, and not the same for everyone."""
    waited = set()
    for seed in range(4):
        harness = make(replace(SMALL, documents=1), seed=seed)
        harness.simulator.script("list", status(500), times=5)
        list_through(harness, cycle_of(harness, harness.accounts["demo1"]))
        assert len(harness.observer.named("list.failed")) == 5
        waited.add(harness.clock.now() - NOON)
    assert len(waited) == 4
    assert all(timedelta() < wait <= timedelta(seconds=31) for wait in waited)


def test_row_01_every_other_call_is_retried_likewise(make: Make) -> None:
    """Reserving and acknowledging go on where they were; nothing is stored or told twice."""
    harness = make(replace(SMALL, documents=4))
    troubles = [status(500), Fault(kind=Kind.HTML), Fault(kind=Kind.EMPTY), Fault(kind=Kind.TIMEOUT), status(502)]
    for trouble in troubles:
        harness.simulator.script("reserve", trouble)
        harness.simulator.script("fetch", Fault(kind=Kind.PENDING))
        harness.simulator.script("fetch", replace(trouble, applied=False))
    for trouble in (status(500), Fault(kind=Kind.HTML), Fault(kind=Kind.TIMEOUT), status(503)):
        harness.simulator.script("acknowledge", trouble)
    settled = settle(harness)
    assert settled.waiting == 0
    assert harness.simulator.scripted() == 0
    assert_archived(harness)


def logins(harness: Harness, label: str) -> int:
    return harness.simulator.count("token", account=label)


@pytest.mark.parametrize("call", ["list", "reserve", "fetch", "acknowledge"])
def test_row_02_one_401_costs_one_fresh_login_and_nothing_else(make: Make, call: str) -> None:
    """A token may run out at any call: the same call is made again with a fresh one."""
    harness = make(replace(SMALL, documents=4))
    harness.simulator.script(call, status(401))
    settled = settle(harness)
    assert (settled.waiting, settled.refused) == (0, ())
    assert_archived(harness)
    assert logins(harness, "demo1") == 2
    assert harness.observer.named("credentials.refused") == []


@pytest.mark.parametrize("call", ["list", "reserve", "fetch", "acknowledge"])
def test_row_02_a_fresh_token_that_is_refused_pauses_that_account_alone(make: Make, call: str) -> None:
    """One fresh login, then a pause and an alarm; the other account comes home; afterwards this one does too."""
    harness = make(replace(SMALL, documents=8), wishes=TWO)
    for _ in range(2):
        harness.simulator.script(call, status(401), account="demo1")
    settle(harness)
    assert logins(harness, "demo1") == 2
    assert len(harness.observer.named("credentials.refused")) == 1
    assert paused(harness, "demo1") is PauseReason.CREDENTIALS
    assert_archived(harness, "demo2")
    assert logins(harness, "demo2") == 1
    harness.clock.forward(HOUR)
    assert settle(harness).waiting == 0
    assert_archived(harness, "demo1")


def paused(harness: Harness, label: str) -> PauseReason | None:
    return harness.archive.accounts.paused(harness.accounts[label].id, harness.clock.now())


def test_row_02_wrong_credentials_are_tried_once_and_then_less_and_less_often(make: Make) -> None:
    """Hammering can lock a user: one login, again after 1, 6 and 24 hours; the other account goes on meanwhile."""
    harness = make(replace(SMALL, documents=8), wishes=TWO)
    harness.simulator.set_password("demo1", "changed")
    settled = settle(harness)
    assert settled.refused == ("demo1",)
    assert logins(harness, "demo1") == 1
    assert paused(harness, "demo1") is PauseReason.CREDENTIALS
    assert_archived(harness, "demo2")
    for _ in range(60):
        harness.clock.forward(timedelta(minutes=59))
        if paused(harness, "demo1") is None:
            settle(harness)
    assert 2 <= logins(harness, "demo1") <= 5


def test_row_02_no_call_is_made_with_refused_credentials_while_work_waits(make: Make) -> None:
    """A password that changes in mid-work: batches keep their state, and come home once it is right again."""
    harness = make(replace(SMALL, documents=4))
    known = harness.simulator.accounts[0].password
    list_through(harness, cycle_of(harness, harness.accounts["demo1"]))
    harness.simulator.set_password("demo1", "changed")
    harness.simulator.revoke_tokens()
    while harness.engine.step():
        pass
    assert logins(harness, "demo1") == 2
    assert harness.simulator.count("reserve", status=202) == 0
    harness.simulator.set_password("demo1", known)
    harness.clock.forward(HOUR)
    assert settle(harness).waiting == 0
    assert_archived(harness)


def test_row_04_a_list_too_large_is_halved_and_everything_is_archived(make: Make) -> None:
    """413: windows are narrowed until they fit; no document is lost between the halves."""
    harness = make(replace(SMALL, documents=40, list_cap=4))
    assert settle(harness).waiting == 0
    assert_archived(harness)


PAUSES = {
    "seconds": ("120", 120, 120 + 300),
    "a-date": (format_datetime(NOON + timedelta(minutes=10), usegmt=True), 600, 600 + 300),
    "absurd": ("1000000000000000000000", 3600, 3600),
    "past": ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 300),
    "negative": ("-5", 0, 300),
    "words": ("soon", 0, 300),
}


ASKED = [
    *(("reserve", name, 429) for name in PAUSES),
    *((call, name, 503) for call in ("list", "fetch", "acknowledge") for name in ("seconds", "absurd")),
    ("list", "a-date", 429),
    ("reserve", "a-date", 503),
]


@pytest.mark.parametrize(("call", "name", "code"), ASKED)
def test_row_05_retry_after_is_honoured_and_capped(make: Make, call: str, name: str, code: int) -> None:
    """In seconds, as a date, or absurd: not sooner than asked, not later than an hour."""
    text, least, most = PAUSES[name]
    harness = make(replace(SMALL, documents=2))
    harness.simulator.script(call, status(code, retry_after=text))
    assert settle(harness, horizon=timedelta(hours=2)).waiting == 0
    assert_archived(harness)
    times = [called.at for called in harness.simulator.journal(call)]
    place = [called.status for called in harness.simulator.journal(call)].index(code)
    gap = (times[place + 1] - times[place]).total_seconds()
    assert least - 1 <= gap <= most + 1


@pytest.mark.parametrize("code", [429, 503])
def test_row_05_one_account_s_pause_is_not_another_s(make: Make, code: int) -> None:
    """The service asks one user to wait ten minutes: the other's documents are home within the first."""
    harness = make(replace(SMALL, documents=8), wishes=TWO)
    harness.simulator.script("reserve", status(code, retry_after="600"), account="demo1")
    assert settle(harness).waiting == 0
    for label in TWO:
        assert_archived(harness, label)
    last = max(called.at for called in harness.simulator.journal() if called.account == "demo2")
    assert last - NOON < timedelta(minutes=1)


def test_row_05_an_account_told_to_wait_makes_no_call_at_all_meanwhile(make: Make) -> None:
    """429 speaks to the user, not to one batch: the account's other batches and its listing keep quiet too."""
    harness = make(replace(SMALL, documents=8))
    harness.simulator.script("reserve", status(403))  # two halves
    harness.simulator.script("reserve", status(429, retry_after="600"))
    list_through(harness, cycle_of(harness, harness.accounts["demo1"]))
    while harness.engine.step():
        pass
    told = next(called.at for called in harness.simulator.journal() if called.status == 429)
    list_through(harness, cycle_of(harness, harness.accounts["demo1"]))
    assert settle(harness).waiting == 0
    assert_archived(harness)
    later = [called for called in harness.simulator.journal() if called.call is not Call.TOKEN]
    place = [called.status for called in later].index(429)
    assert later[place + 1].at - told >= timedelta(seconds=599)


def test_row_05_no_document_is_lost_while_most_calls_fail(make: Make) -> None:
    """ACK-LIVENESS: every second call is answered 429 or 503: everything comes home all the same."""

    harness = make(replace(SMALL, documents=6))
    harness.simulator.faults = Faults(
        rates=(
            Rate(call="any", chance=0.4, fault=status(429, retry_after="7")),
            Rate(call="any", chance=0.2, fault=status(503)),
        )
    )
    assert settle(harness).waiting == 0
    assert_archived(harness)
