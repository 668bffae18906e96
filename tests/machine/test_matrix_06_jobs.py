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
from tests.support.archive_checks import assert_archived, entries, states
from tests.support.harness import SMALL, Harness, drain, settle

from easytracking_simulator import Fault, Faults, Kind, lost, status, torn
from easytracking_sync.effects import LocalFiles
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import DocumentState

TINY = {"FA": ("a.xml", b"<FatturaElettronica/>"), "MT": ("a_MT.xml", b"<MT/>"), "FU": ("a_FU.xml", b"<FU/>")}
FEW = replace(SMALL, documents=4)
PATIENT = Policy(most_losses=1_000_000, retry_base_seconds=0.001)


def fetched(harness: Harness) -> int:
    """How many parcels the service has given."""
    return harness.simulator.count("fetch", status=200)


def test_row_06_a_reservation_whose_answer_is_lost_is_made_again(make: Make) -> None:
    """The orphan job expires by itself; nothing is fetched twice, nobody gets an attempt."""
    harness = make(FEW)
    harness.simulator.script("reserve", lost(), times=3)
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert fetched(harness) == 1
    assert len(harness.simulator.open_jobs()) == 3
    harness.clock.forward(timedelta(hours=24))
    settle(harness)
    assert {entry.attempts for entry in entries(harness).values()} == {0}


def test_row_06_a_reservation_answered_by_nonsense_is_made_again(make: Make) -> None:
    """202 with no jobId, half of one, or a page."""
    harness = make(FEW)
    for fault in (
        Fault(kind=Kind.EMPTY),
        Fault(kind=Kind.BODY, body=b'{"jobId": "12"}'),
        Fault(kind=Kind.TRUNCATED, at=20),
        Fault(kind=Kind.HTML),
    ):
        harness.simulator.script("reserve", fault)
    assert settle(harness).waiting == 0
    assert_archived(harness)


def test_row_07_a_job_pending_for_ever_is_reserved_again_at_the_deadline(make: Make) -> None:
    """Each job is given twice as long as the one before; after the third, the batch is halved."""
    harness = make(FEW, policy=Policy(job_deadline_seconds=60))
    harness.simulator.faults = Faults(always={"fetch": Fault(kind=Kind.PENDING)})
    settle(harness, deadline=timedelta(seconds=60 + 120 + 240 + 100))
    times = [called.at for called in harness.simulator.journal("reserve")]
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert [least <= wait <= least + 35 for wait, least in zip(waits, (60, 120, 240), strict=False)] == [True] * 3
    assert [len(called.ids) for called in harness.simulator.journal("reserve")][:5] == [4, 4, 4, 2, 2]
    harness.simulator.clear_faults()
    assert settle(harness).waiting == 0
    assert_archived(harness)


def test_row_07_a_pending_job_is_polled_less_and_less_often(make: Make) -> None:
    """Ten minutes of 202 cost some thirty polls, not three hundred; the documents come home as it is ready."""
    harness = make(replace(FEW, job_seconds=600))
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert harness.simulator.count("reserve") == 1
    assert harness.simulator.count("fetch") < 40


def test_row_07_a_job_older_than_24_hours_is_reserved_again(make: Make) -> None:
    """Reserved, then the machine was off for a day: the service has forgotten the job (403)."""
    harness = make(FEW)
    settle(harness, deadline=timedelta(0), horizon=timedelta(0))
    assert harness.simulator.open_jobs()
    harness.clock.forward(timedelta(hours=25))
    harness.reopen()
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert harness.simulator.count("reserve") == 2
    assert {entry.attempts for entry in entries(harness).values()} == {0}


@pytest.mark.parametrize("code", [400, 403, 404, 410])
def test_row_07_a_lost_job_is_reserved_again_whatever_the_status(make: Make, code: int) -> None:
    """What a reset or expired job answers is open: each means "reserve again"."""
    harness = make(FEW)
    harness.simulator.script("fetch", status(code))
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert harness.simulator.count("reserve") == 2


def test_row_07_a_job_lost_three_times_is_halved_until_the_bad_document_is_alone(make: Make) -> None:
    """One document whose jobs always expire: the others come home, it ends in quarantine."""
    harness = make(FEW, policy=Policy(max_attempts=2))
    bad = harness.simulator.ids()[1]
    harness.simulator.faults = Faults(spoilt={bad: Fault(kind=Kind.EXPIRED)})
    assert settle(harness).waiting == 0
    assert_archived(harness, but={bad})
    assert states(harness)[bad] is DocumentState.QUARANTINED


def test_row_07_a_job_that_only_ever_fails_is_overdue_too(make: Make) -> None:
    """NO-POISON: one document makes the service fail whenever its parcel is asked for; the deadline ends that too."""
    harness = make(replace(FEW, documents=2), policy=Policy(max_attempts=1, job_deadline_seconds=10))
    bad = harness.simulator.ids()[1]
    harness.simulator.faults = Faults(spoilt={bad: status(500)})
    assert settle(harness).waiting == 0
    assert_archived(harness, but={bad})
    assert states(harness)[bad] is DocumentState.QUARANTINED


def test_row_07_a_time_without_the_service_costs_no_document_an_attempt(make: Make) -> None:
    """It is down in mid-work, beyond the deadline: whatever was reserved is asked for again, nobody is blamed."""
    harness = make(FEW, policy=Policy(job_deadline_seconds=300))
    settle(harness, deadline=timedelta(0), horizon=timedelta(0))
    harness.simulator.faults = Faults(always={"any": Fault(kind=Kind.UNREACHABLE)})
    drain(harness, until=harness.clock.now() + timedelta(minutes=16))
    harness.simulator.clear_faults()
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert {entry.attempts for entry in entries(harness).values()} == {0}


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

    harness = make(replace(SMALL, documents=0), policy=PATIENT, wrap=weigh)
    harness.simulator.add_document("demo1", TINY)
    settle(harness)
    length = scales[0].last
    again = harness.simulator.add_document("demo1", TINY)
    offsets = sorted({0, 1, 30, length - 23, length - 22, length - 21, length - 1, *range(0, length, length // 6)})
    for at in offsets:
        harness.simulator.script("fetch", torn(at, framed=framed))
    marks = harness.simulator.count("acknowledge")
    settle(harness)
    assert harness.simulator.scripted() == 0
    assert_archived(harness)
    assert fetched(harness) == len(offsets) + 2
    assert harness.simulator.count("acknowledge") == marks + 1
    assert len(entries(harness)[again].files) == 3


def test_row_09_a_whole_parcel_in_a_close_delimited_reply_is_accepted(make: Make) -> None:
    """The parcel proves itself, whatever the framing."""
    harness = make(FEW)
    harness.simulator.script("fetch", Fault(kind=Kind.CLOSE_DELIMITED))
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert fetched(harness) == 1


def test_row_08_an_answer_that_never_comes_is_asked_for_again(make: Make) -> None:
    """Lost on its way after the job was reset: the next fetch says 403, and the same ids are reserved again."""
    harness = make(FEW)
    harness.simulator.script("fetch", lost())
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert [called.ids for called in harness.simulator.journal("reserve")] == [harness.simulator.ids()] * 2


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
    harness = make(FEW, files=files)
    files.dies_at = moment
    with pytest.raises(KilledError):
        settle(harness)
    files.dead, files.dies_at = False, ""
    harness.reopen()
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert fetched(harness) == MOMENTS[moment]
    assert list(parcels(harness)) == []
    assert {entry.attempts for entry in entries(harness).values()} == {0}


def parcels(harness: Harness) -> Iterator[str]:
    """What lies in the spool, apart from what is kept for inspection."""
    return (entry.name for entry in (harness.folder / "spool").iterdir() if entry.is_file())


def test_row_08_a_parcel_missing_from_the_spool_is_fetched_again_and_not_counted(make: Make) -> None:
    """Another host, a tmpfs after a reboot: FETCHED without its spool file goes back to PLANNED, no loss."""
    harness = make(FEW)

    def until_fetched() -> None:
        if any(parcels(harness)):
            raise KilledError

    with pytest.raises(KilledError):
        settle(harness, after_step=until_fetched)
    for entry in (harness.folder / "spool").iterdir():
        if entry.is_file():
            entry.unlink()
    harness.reopen()
    assert settle(harness).waiting == 0
    assert_archived(harness)
    assert harness.observer.named("batch.lost") == []
    assert len(harness.observer.named("parcel.gone")) == 1
