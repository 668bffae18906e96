"""Two instances on one database share the work and store each document once, even if one of them dies."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from tests.support.archive_checks import InvariantChecker, assert_archived
from tests.support.harness import SMALL, Harness, Wish, build, cycle_of, drain, list_through, next_instant, settle
from tests.support.postgres import Server

from easytracking_simulator import Options, Simulator
from easytracking_simulator.httpx_transport import SimulatorTransport
from easytracking_sync.app import CatchUpRequest, catch_up
from easytracking_sync.archive import tables
from easytracking_sync.effects import Effects, SystemClock
from easytracking_sync.errors import DatabaseUnavailable
from easytracking_sync.settings import Settings

MANY = replace(SMALL, documents=40)
THREE = {label: Wish() for label in ("demo1", "demo2", "demo3")}
FEW = replace(SMALL, documents=5)
Wrap = Callable[[httpx.BaseTransport], httpx.BaseTransport]


def as_is(transport: httpx.BaseTransport) -> httpx.BaseTransport:
    return transport


@dataclass
class Pair:
    """Harnesses of two hosts: one database, one service, one time; each with a spool of its own."""

    folder: Path
    url: str
    harnesses: list[Harness] = field(default_factory=list)

    def open(
        self, options: Options, first: Wrap = as_is, wishes: Mapping[str, Wish] | None = None
    ) -> tuple[Harness, Harness]:
        """Both, with nothing listed yet; `first` stands before the first one's transports."""
        folders = [self.folder / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        made = build(
            folders[0],
            options,
            url=self.url,
            wishes=wishes,
            wrap=lambda inner: first(InvariantChecker(self.url, inner)),
        )
        same = {name: getattr(made, name) for name in ("url", "clock", "simulator", "observer", "files", "policy")}
        same |= {
            name: getattr(made, name)
            for name in ("bounds", "wishes", "seed", "min_free_bytes", "blobs_folder", "opened")
        }
        other = Harness(folder=folders[1], wrap=lambda inner: InvariantChecker(self.url, inner), **same)
        self.harnesses += [made, other]
        return made, other


@pytest.fixture
def pair(tmp_path: Path, postgres_archive: str) -> Iterator[Pair]:
    made = Pair(tmp_path, postgres_archive)
    yield made
    for harness in made.harnesses:
        harness.close()


def run_out(harness: Harness) -> None:
    """As if the time of every lease had passed, by the server's clock."""
    with harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.batch).values(lease_until=sa.func.clock_timestamp()))


def moves(harness: Harness) -> Counter[tuple[int, str, str]]:
    """How often each move of each batch stands in the journal: batch, name, detail with the epoch."""
    event = tables.event.c
    query = sa.select(event.batch_id, event.name, event.detail).where(event.name.like("batch.%"))
    with harness.archive.database.read() as connection:
        return Counter((row.batch_id, row.name, row.detail) for row in connection.execute(query))


@pytest.mark.parametrize("seed", range(2))
def test_two_instances_share_the_work_and_each_document_comes_home_once(pair: Pair, seed: int) -> None:
    """Whoever happens to be next takes the next step; both list, and neither takes the other's parcels."""
    one, two = pair.open(MANY, wishes=THREE)
    for harness in (one, two):
        for account in harness.accounts.values():
            list_through(harness, cycle_of(harness, account))
    chance = random.Random(seed)
    done = Counter[str]()
    while sum(one.archive.documents.waiting(one.account_ids).values()):
        order = chance.sample([one, two], 2)
        worked = [harness for harness in order if harness.engine.step()]
        done.update(harness.folder.name for harness in worked)
        if not worked:
            due = next_instant(one) or next_instant(two)
            assert due is not None
            one.clock.forward_to(due)
    for label in THREE:
        assert_archived(one, label)
    assert set(done) == {"one", "two"}
    assert set(moves(one).values()) == {1}
    assert one.simulator.count("fetch", status=200) == len(moves_named(one, "batch.fetched"))
    assert not moves_named(one, "parcel.gone")


def moves_named(harness: Harness, name: str) -> list[str]:
    """The journal's entries of this name."""
    with harness.archive.database.read() as connection:
        return list(connection.execute(sa.select(tables.event.c.name).where(tables.event.c.name == name)).scalars())


def test_threads_of_two_instances_side_by_side_bring_each_document_home_once(pair: Pair) -> None:
    one, two = pair.open(MANY, wishes=THREE)
    for account in one.accounts.values():
        list_through(one, cycle_of(one, account))
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def work(harness: Harness) -> None:
        start.wait(10)
        try:
            while sum(harness.archive.documents.waiting(harness.account_ids).values()):
                if not harness.engine.step():
                    harness.clock.forward(timedelta(seconds=1))
        except BaseException as failure:  # noqa: BLE001  told below
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(harness,)) for harness in (one, two, one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for label in THREE:
        assert_archived(one, label)
    assert set(moves(one).values()) == {1}
    for harness in (one, two):
        assert list((harness.folder / "spool").glob("*.zip*")) == []


class Meanwhile(httpx.BaseTransport):
    """At the first call whose address holds `where`, and before it or after it is answered, something happens."""

    def __init__(
        self, where: str, what: Callable[[], object], transport: httpx.BaseTransport, *, answered: bool
    ) -> None:
        self._where = where
        self._what: Callable[[], object] | None = what
        self._transport = transport
        self._answered = answered

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        what = self._what if self._where in request.url.path else None
        if what is None:
            return self._transport.handle_request(request)
        self._what = None
        if not self._answered:
            what()
        response = self._transport.handle_request(request)
        if self._answered:
            what()
        return response

    def close(self) -> None:
        self._transport.close()


@pytest.mark.parametrize("frozen_seconds", [0, 25], ids=["noticed at the commit", "noticed before it"])
@pytest.mark.parametrize("answered", [False, True], ids=["before the answer", "after the answer"])
@pytest.mark.parametrize("call", ["/jobs", "/jobs/", "set-fase"], ids=["reserve", "fetch", "acknowledge"])
def test_row_21_an_instance_frozen_in_a_call_finds_its_work_done_by_the_other_and_drops_its_own(
    pair: Pair, call: str, frozen_seconds: int, *, answered: bool
) -> None:
    """FENCED: a lease that runs out is taken over, and the first holder commits nothing, removes nothing."""

    def take_over() -> None:
        run_out(two)
        one.clock.forward(timedelta(seconds=frozen_seconds))
        drain(two)

    one, two = pair.open(FEW, first=lambda inner: Meanwhile(call, take_over, inner, answered=answered))
    list_through(one, cycle_of(one, one.accounts["demo1"]))
    drain(one)
    drain(two)
    assert_archived(one)
    assert len(one.observer.named("batch.fenced")) == 1
    assert set(moves(one).values()) == {1}


def test_a_lease_that_ran_out_while_nobody_wanted_it_is_taken_up_again_and_the_result_kept(pair: Pair) -> None:
    """An hour's download is not thrown away because the database was out of reach for half a minute."""

    def be_slow() -> None:
        run_out(one)
        one.clock.forward(timedelta(seconds=60))

    one, _ = pair.open(FEW, first=lambda inner: Meanwhile("/jobs/", be_slow, inner, answered=True))
    settle(one)
    assert_archived(one)
    assert one.observer.named("batch.fenced") == []
    assert one.simulator.count("fetch", status=200) == 1


def test_what_a_dead_host_had_in_its_spool_is_reserved_again_by_another(pair: Pair) -> None:
    """Nobody is to wait for that host; and when it comes back, it sweeps what lies there."""
    one, two = pair.open(FEW)
    list_through(one, cycle_of(one, one.accounts["demo1"]))
    while not list((one.folder / "spool").glob("*.zip")):
        if not one.engine.step():
            one.clock.forward(timedelta(seconds=1))
    assert drain(two) == 0
    run_out(two)
    drain(two)
    assert_archived(two)
    assert len(moves_named(two, "parcel.gone")) == 1
    one.reopen()
    assert list((one.folder / "spool").glob("*.zip")) == []


def test_an_instance_that_starts_leaves_what_others_in_the_same_spool_wait_for(pair: Pair) -> None:
    """Two services of one host may have one folder: parcels are whole, and parts bear their writers' names."""
    one, two = pair.open(FEW)
    list_through(one, cycle_of(one, one.accounts["demo1"]))
    spool = one.folder / "spool"
    while not list(spool.glob("*.zip")):
        if not one.engine.step():
            one.clock.forward(timedelta(seconds=1))
    (parcel,) = spool.glob("*.zip")
    part = spool / f"{parcel.name}.somebody.part"
    for path in (part, spool / "999-done.zip", spool / "999-done.zip.somebody.part"):
        path.write_bytes(b"half")
    (two.folder / "spool" / "inspection").rmdir()
    (two.folder / "spool").rmdir()
    (two.folder / "spool").symlink_to(spool)
    two.reopen()
    assert sorted(path.name for path in spool.glob("*.zip*")) == sorted([parcel.name, part.name])


OUTAGES = ["passive-invoices", "/jobs", "/jobs/", "set-fase"]
PATIENT_WAITS = 20


@pytest.mark.parametrize("call", OUTAGES)
def test_row_14_a_server_that_stops_in_the_middle_of_a_call_costs_time_and_nothing_else(
    pair: Pair, server: Server, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Row 14: what could not be committed is done again, once the database is back; a listing just waits for it."""
    one, _ = pair.open(FEW, first=lambda inner: Meanwhile(call, server.stop, inner, answered=True))
    waits = 0
    wait = one.clock.wait

    def wait_and_see(wake: threading.Event, seconds: float) -> bool:
        nonlocal waits
        waits += 1
        if waits == PATIENT_WAITS:
            server.start()
        return wait(wake, seconds)

    monkeypatch.setattr(one.clock, "wait", wait_and_see)
    try:
        settle(one)
    except DatabaseUnavailable:
        server.start()
        settle(one)
    assert waits >= 3
    assert_archived(one)
    assert set(moves(one).values()) == {1}


def test_row_14_two_catch_ups_on_one_database_end_while_its_server_is_restarted(
    tmp_path: Path, server: Server, postgres_archive: str
) -> None:
    """Real threads and real time: two hosts, and a server that is maintained in the middle."""
    simulator = Simulator(replace(MANY, documents=150, job_seconds=0.05), SystemClock())
    done: list[object] = []

    def settings(host: str) -> Settings:
        account = {
            "base_url": "http://127.0.0.1:1", "auth_base_url": "http://127.0.0.1:1", "username": "demo1",
            "password": simulator.accounts[0].password, "history_from": "2026-01-01",
        }  # fmt: skip
        given = {
            "database": {"url": postgres_archive},
            "storage": {"min_free_bytes": 0, "spool": str(tmp_path / host)},
            "sync": {"poll_first_seconds": 0.02, "retry_base_seconds": 0.02, "retry_cap_seconds": 0.2, "workers": 2},
            "accounts": {"acme": account},
        }
        return Settings.model_validate(given)

    def work(host: str) -> None:
        done.append(
            catch_up(settings(host), CatchUpRequest(), effects=Effects(network=SimulatorTransport(simulator)))
        )

    threads = [threading.Thread(target=work, args=(host,)) for host in ("one", "two")]
    for thread in threads:
        thread.start()
    name = sa.make_url(postgres_archive).database or ""
    for question in (
        "SELECT count(*) > 0 FROM document",
        "SELECT count(*) > 0 FROM document WHERE state IN ('stored', 'acknowledged')",
    ):
        server.until(question, name)
        server.stop()
        server.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 2
    assert {document.phase_1 for document in simulator.truth("demo1")} == {True}
    assert simulator.lapses() == {}
