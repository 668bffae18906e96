"""Rows 6 to 9 of the fault matrix: jobs whose answer is lost, that never end, that are torn, that die with us."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import httpx
import pytest
from tests.machine.conftest import Make
from tests.support.archive_checks import assert_home, entries, states
from tests.support.harness import SMALL, Station, drain, settle

from easytracking_simulator import Fault, Faults, Kind, lost, status, torn
from easytracking_sync.effects import LocalFiles
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import DocumentState

TINY = {"FA": ("a.xml", b"<FatturaElettronica/>"), "MT": ("a_MT.xml", b"<MT/>"), "FU": ("a_FU.xml", b"<FU/>")}
FEW = replace(SMALL, documents=4)
PATIENT = Policy(most_losses=1_000_000, retry_base_seconds=0.001)


def fetched(station: Station) -> int:
    """How many parcels the service has given."""
    return station.simulator.count("fetch", status=200)


def test_row_06_a_reservation_whose_answer_is_lost_is_made_again(make: Make) -> None:
    """The orphan job expires by itself; nothing is fetched twice, nobody gets an attempt."""
    station = make(FEW)
    station.simulator.script("reserve", lost(), times=3)
    assert settle(station).waiting == 0
    assert_home(station)
    assert fetched(station) == 1
    assert len(station.simulator.open_jobs()) == 3
    station.clock.forward(timedelta(hours=24))
    settle(station)
    assert {entry.attempts for entry in entries(station).values()} == {0}


def test_row_06_a_reservation_answered_by_nonsense_is_made_again(make: Make) -> None:
    """202 with no jobId, half of one, or a page."""
    station = make(FEW)
    for fault in (
        Fault(kind=Kind.EMPTY),
        Fault(kind=Kind.BODY, body=b'{"jobId": "12"}'),
        Fault(kind=Kind.TRUNCATED, at=20),
        Fault(kind=Kind.HTML),
    ):
        station.simulator.script("reserve", fault)
    assert settle(station).waiting == 0
    assert_home(station)


def test_row_07_202_for_ever_ends_at_the_deadline_and_is_reserved_again(make: Make) -> None:
    """Each job is given twice as long as the one before; after the third, the batch is halved."""
    station = make(FEW, policy=Policy(job_deadline_seconds=60))
    station.simulator.faults = Faults(always={"fetch": Fault(kind=Kind.PENDING)})
    settle(station, deadline=timedelta(seconds=60 + 120 + 240 + 100))
    times = [called.at for called in station.simulator.journal("reserve")]
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert [least <= wait <= least + 35 for wait, least in zip(waits, (60, 120, 240), strict=False)] == [True] * 3
    assert [len(called.ids) for called in station.simulator.journal("reserve")][:5] == [4, 4, 4, 2, 2]
    station.simulator.calm()
    assert settle(station).waiting == 0
    assert_home(station)


def test_row_07_a_pending_job_is_polled_ever_more_rarely(make: Make) -> None:
    """Ten minutes of 202 cost some thirty polls, not three hundred; the documents come home as it is ready."""
    station = make(replace(FEW, job_seconds=600))
    assert settle(station).waiting == 0
    assert_home(station)
    assert station.simulator.count("reserve") == 1
    assert station.simulator.count("fetch") < 40


def test_row_07_a_job_older_than_24_hours_is_reserved_again(make: Make) -> None:
    """Reserved, then the machine was off for a day: the service has forgotten the job (403)."""
    station = make(FEW)
    settle(station, deadline=timedelta(0), horizon=timedelta(0))
    assert station.simulator.open_jobs()
    station.clock.forward(timedelta(hours=25))
    station.reopen()
    assert settle(station).waiting == 0
    assert_home(station)
    assert station.simulator.count("reserve") == 2
    assert {entry.attempts for entry in entries(station).values()} == {0}


@pytest.mark.parametrize("code", [400, 403, 404, 410])
def test_row_07_a_job_that_is_gone_is_reserved_again_whatever_says_so(make: Make, code: int) -> None:
    """What a reset or expired job answers is open: each means "reserve again"."""
    station = make(FEW)
    station.simulator.script("fetch", status(code))
    assert settle(station).waiting == 0
    assert_home(station)
    assert station.simulator.count("reserve") == 2


def test_row_07_a_job_that_is_lost_three_times_is_halved_until_the_culprit_is_alone(make: Make) -> None:
    """One document whose jobs always expire: the others come home, it ends in quarantine."""
    station = make(FEW, policy=Policy(max_attempts=2))
    bad = station.simulator.ids()[1]
    station.simulator.faults = Faults(spoilt={bad: Fault(kind=Kind.EXPIRED)})
    assert settle(station).waiting == 0
    assert_home(station, but={bad})
    assert states(station)[bad] is DocumentState.QUARANTINED


def test_row_07_a_job_that_only_ever_fails_is_overdue_too(make: Make) -> None:
    """NO-POISON: one document makes the service fail whenever its parcel is asked for; the deadline ends that too."""
    station = make(replace(FEW, documents=2), policy=Policy(max_attempts=1, job_deadline_seconds=10))
    bad = station.simulator.ids()[1]
    station.simulator.faults = Faults(spoilt={bad: status(500)})
    assert settle(station).waiting == 0
    assert_home(station, but={bad})
    assert states(station)[bad] is DocumentState.QUARANTINED


def test_row_07_a_time_without_the_service_costs_no_document_an_attempt(make: Make) -> None:
    """It is down in mid-work, beyond the deadline: whatever was reserved is asked for again, nobody is blamed."""
    station = make(FEW, policy=Policy(job_deadline_seconds=300))
    settle(station, deadline=timedelta(0), horizon=timedelta(0))
    station.simulator.faults = Faults(always={"any": Fault(kind=Kind.UNREACHABLE)})
    drain(station, until=station.clock.now() + timedelta(minutes=16))
    station.simulator.calm()
    assert settle(station).waiting == 0
    assert_home(station)
    assert {entry.attempts for entry in entries(station).values()} == {0}


class Weighing(httpx.BaseTransport):
    """Remembers how long the last parcel was."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self.inner = inner
        self.last = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.inner.handle_request(request)
        if "/jobs/" in request.url.path and response.status_code == 200:
            self.last = int(response.headers.get("Content-Length", "0"))
        return response


@pytest.mark.parametrize("framed", [True, False])
def test_row_08_09_a_parcel_torn_anywhere_is_dropped_and_reserved_again(make: Make, *, framed: bool) -> None:
    """With Content-Length and a reset, or close-delimited and silent: never stored in part, never acknowledged."""
    scales: list[Weighing] = []

    def weigh(inner: httpx.BaseTransport) -> httpx.BaseTransport:
        scales.append(Weighing(inner))
        return scales[-1]

    station = make(replace(SMALL, documents=0), policy=PATIENT, wrap=weigh)
    station.simulator.add_document("demo1", TINY)
    settle(station)
    length = scales[0].last
    again = station.simulator.add_document("demo1", TINY)
    offsets = sorted({0, 1, 30, length - 23, length - 22, length - 21, length - 1, *range(0, length, length // 6)})
    for at in offsets:
        station.simulator.script("fetch", torn(at, framed=framed))
    marks = station.simulator.count("acknowledge")
    settle(station)
    assert station.simulator.scripted() == 0
    assert_home(station)
    assert fetched(station) == len(offsets) + 2
    assert station.simulator.count("acknowledge") == marks + 1
    assert len(entries(station)[again].files) == 3


def test_row_09_a_whole_parcel_in_a_close_delimited_reply_is_accepted(make: Make) -> None:
    """The parcel proves itself, whatever the framing."""
    station = make(FEW)
    station.simulator.script("fetch", Fault(kind=Kind.CLOSE_DELIMITED))
    assert settle(station).waiting == 0
    assert_home(station)
    assert fetched(station) == 1


def test_row_08_an_answer_that_never_comes_is_asked_for_again(make: Make) -> None:
    """Lost on its way after the job was reset: the next fetch says 403, and the same ids are reserved again."""
    station = make(FEW)
    station.simulator.script("fetch", lost())
    assert settle(station).waiting == 0
    assert_home(station)
    assert [called.ids for called in station.simulator.journal("reserve")] == [station.simulator.ids()] * 2


class KilledError(BaseException):
    """The process is gone: nothing may catch this."""


class MortalFiles(LocalFiles):
    """A file layer whose process is killed at one operation: from then on, nothing is done any more."""

    def __init__(self) -> None:
        self.dies_at = ""
        self.dead = False

    def _come_to(self, moment: str) -> None:
        if self.dead or moment == self.dies_at:
            self.dead = True
            raise KilledError(moment)

    def create(self, path: Path) -> BinaryIO:
        self._come_to("create")
        super().create(path).close()
        return _MortalFile(self, path)

    def sync(self, file: BinaryIO) -> None:
        self._come_to("sync")
        super().sync(file)

    def rename(self, source: Path, target: Path) -> None:
        self._come_to("rename")
        super().rename(source, target)
        self._come_to("renamed")

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self._come_to("folder synced")

    def remove(self, path: Path) -> None:
        self._come_to("remove")
        super().remove(path)


class _MortalFile(io.BufferedWriter):
    def __init__(self, files: MortalFiles, path: Path) -> None:
        super().__init__(io.FileIO(os.open(path, os.O_WRONLY), "wb"))
        self._files = files

    def write(self, chunk: object, /) -> int:
        self._files._come_to("write")
        return super().write(chunk)  # type: ignore[arg-type]


MOMENTS = {"create": 2, "write": 2, "sync": 2, "rename": 2, "renamed": 1, "folder synced": 1, "remove": 1}


@pytest.mark.parametrize("moment", MOMENTS)
def test_row_08_killed_while_spooling_and_started_again(make: Make, moment: str) -> None:
    """Before the rename the parcel is gone and is reserved again; after it, it is found and not fetched again."""
    files = MortalFiles()
    station = make(FEW, files=files)
    files.dies_at = moment
    with pytest.raises(KilledError):
        settle(station)
    files.dead, files.dies_at = False, ""
    station.reopen()
    assert settle(station).waiting == 0
    assert_home(station)
    assert fetched(station) == MOMENTS[moment]
    assert list(parcels(station)) == []
    assert {entry.attempts for entry in entries(station).values()} == {0}


def parcels(station: Station) -> Iterator[str]:
    """What lies in the spool, apart from what is kept for inspection."""
    return (entry.name for entry in (station.folder / "spool").iterdir() if entry.is_file())


def test_row_08_a_parcel_swept_away_meanwhile_is_fetched_again_and_not_counted(make: Make) -> None:
    """Another host, a tmpfs after a reboot: FETCHED without its spool file goes back to PLANNED, no loss."""
    station = make(FEW)

    def until_fetched() -> None:
        if any(parcels(station)):
            raise KilledError

    with pytest.raises(KilledError):
        settle(station, after_step=until_fetched)
    for entry in (station.folder / "spool").iterdir():
        if entry.is_file():
            entry.unlink()
    station.reopen()
    assert settle(station).waiting == 0
    assert_home(station)
    assert station.observer.named("batch.lost") == []
    assert len(station.observer.named("parcel.gone")) == 1
