"""The service: scheduled cycles, independent accounts, changed secrets, reloads, handovers and shutdown."""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from easytracking_simulator import Fault, Faults, Kind, Options, Simulator
from easytracking_simulator.server import serve as simulate
from easytracking_sync.app import CatchUpRequest, catch_up, existing_archive, serve
from easytracking_sync.app import service as service_module
from easytracking_sync.archive.accounts import Accounts
from easytracking_sync.archive.service_requests import ServiceRequests
from easytracking_sync.archive.spool import Spool
from easytracking_sync.cli.run_service import HangingClock
from easytracking_sync.effects import Effects, SystemClock
from easytracking_sync.errors import DatabaseUnavailable, LockHeld, StorageBroken, StorageFault, UsageError
from easytracking_sync.events import EventName
from easytracking_sync.machine.observer import Silent
from easytracking_sync.settings import Settings
from easytracking_sync.terms import DocumentState

PATIENCE_SECONDS = 30.0


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class Town:
    """A simulated vendor's service with accounts, and the configuration of a daemon for them."""

    def __init__(self, folder: Path, url: str, simulator: Simulator) -> None:
        self.simulator = simulator
        self.passwords = {account.username: account.password for account in simulator.accounts}
        self._folder = folder
        self._url = url

    def settings(self, **sync: Any) -> Settings:
        return Settings.model_validate(
            {
                "database": {"url": f"sqlite:///{self._folder}/archive.db"},
                "storage": {"min_free_bytes": 0},
                "sync": {
                    "every": "1s",
                    "poll_first_seconds": 0.05,
                    "retry_base_seconds": 0.05,
                    "retry_cap_seconds": 0.2,
                    "workers": 2,
                    **sync,
                },
                "accounts": {
                    name: {
                        "base_url": self._url,
                        "auth_base_url": self._url,
                        "username": name,
                        "password": password,
                        "history_from": "2026-06-01",
                    }
                    for name, password in self.passwords.items()
                },
            }
        )

    def home(self, account: str) -> int:
        """The number of acknowledged documents; 0 while there is no archive."""
        with contextlib.suppress(UsageError), existing_archive(self.settings()) as archive:
            return sum(one.count(DocumentState.ACKNOWLEDGED) for one in archive.account_statuses.overviews([account]))
        return 0


@contextmanager
def town(folder: Path, **options: Any) -> Iterator[Town]:
    """A small vendor's service: `accounts` accounts that share `documents` documents."""
    chosen = {"documents": 6, "accounts": 2, "history_days": 60, "job_seconds": 0.05, "p7m_share": 0.0} | options
    simulator = Simulator(Options(**chosen), WallClock())
    with simulate(simulator) as url:
        yield Town(folder, url, simulator)


@contextmanager
def running(town: Town, **sync: Any) -> Iterator[threading.Event]:
    """The service in a thread; stopped at the end of the block, within 10 seconds. Its end sets the event."""
    stop, failures = threading.Event(), []

    def work() -> None:
        try:
            serve(town.settings(**sync), Silent(), stop, reload=town.settings)
        except BaseException as failure:  # noqa: BLE001  the test raises it
            failures.append(failure)
            stop.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive(), "the service did not end within 10 seconds"
    if failures:
        raise failures[0]


def eventually(true: Callable[[], bool]) -> None:
    """Wait until the condition is true; fail if it takes too long."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        threading.Event().wait(0.05)


def all_marked(town: Town) -> bool:
    return town.simulator.marked() == frozenset(town.simulator.ids())


def test_existing_and_new_documents_are_fetched_without_help(tmp_path: Path) -> None:
    with town(tmp_path) as place, running(place):
        eventually(lambda: all_marked(place))
        place.simulator.add_document(
            "demo1", {"FA": ("a.xml", b"<a/>"), "MT": ("m.xml", b"<m/>"), "FU": ("u.xml", b"<u/>")}
        )
        eventually(lambda: all_marked(place))


def test_one_account_with_a_wrong_password_pauses_alone(tmp_path: Path) -> None:
    with town(tmp_path) as place:
        place.simulator.set_password("demo2", "another")
        with running(place):
            eventually(lambda: place.home("demo1") == len(place.simulator.ids("demo1")))
        assert place.simulator.count("token", account="demo2") <= 1
        assert place.home("demo2") == 0


def test_a_changed_secret_is_used_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "READ_SECRETS_EVERY_SECONDS", 0.1)
    with town(tmp_path) as place:
        place.simulator.set_password("demo2", "another")
        with running(place):
            eventually(lambda: place.home("demo1") == len(place.simulator.ids("demo1")))
            place.passwords["demo2"] = "another"
            eventually(lambda: place.home("demo2") == len(place.simulator.ids("demo2")))


def test_an_unreachable_service_does_not_delay_the_other_accounts(tmp_path: Path) -> None:
    with town(tmp_path) as place:
        place.simulator.script("list", Fault(kind=Kind.UNREACHABLE), times=1000, account="demo2")
        with running(place):
            eventually(lambda: place.home("demo1") == len(place.simulator.ids("demo1")))
            place.simulator.clear_faults()
            eventually(lambda: all_marked(place))


def test_a_catch_up_hands_its_work_over_to_the_running_service(tmp_path: Path) -> None:
    with town(tmp_path) as place, running(place, every="1h"):
        eventually(lambda: all_marked(place))
        place.simulator.add_document(
            "demo1", {"FA": ("a.xml", b"<a/>"), "MT": ("m.xml", b"<m/>"), "FU": ("u.xml", b"<u/>")}
        )
        outcome = catch_up(place.settings(), CatchUpRequest(deadline_seconds=PATIENCE_SECONDS))
        assert (outcome.finished, outcome.documents) == (True, 1)
        assert all_marked(place)


def test_a_handed_over_catch_up_for_a_paused_account_tries_it_at_once(tmp_path: Path) -> None:
    with town(tmp_path, accounts=1) as place:
        place.simulator.set_password("demo1", "another")
        with running(place, every="1h"):
            eventually(lambda: place.simulator.count("token") == 1)
            outcome = catch_up(place.settings(), CatchUpRequest(deadline_seconds=PATIENCE_SECONDS))
            assert outcome.refused_accounts == ("demo1",)
            assert place.simulator.count("token") == 2


def test_a_second_service_on_the_archive_is_refused_at_once(tmp_path: Path) -> None:
    with town(tmp_path) as place, running(place):
        eventually(lambda: all_marked(place))
        with pytest.raises(LockHeld, match="command run"):
            serve(place.settings(), Silent(), threading.Event(), reload=place.settings)


def test_row_25_it_stops_while_the_remote_service_hangs(tmp_path: Path) -> None:
    """A call under way is broken off; the next start resumes its work."""
    with town(tmp_path, accounts=1) as place:
        place.simulator.faults = Faults(always={"fetch": Fault(kind=Kind.SLOW, seconds=20.0)})
        with running(place):
            eventually(lambda: place.simulator.count("reserve") > 0)
        place.simulator.clear_faults()
        place.simulator.faults = Faults()
        with running(place):
            eventually(lambda: all_marked(place))


class Told:
    """A supervisor and an observer that remember what they are told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.status = ""
        self.notes: list[tuple[str, dict[str, object]]] = []

    def started(self) -> None:
        self.calls.append("started")

    def alive(self, status: str) -> None:
        self.status = status
        if self.calls[-1] != "alive":
            self.calls.append("alive")

    def reloading(self) -> None:
        self.calls.append("reloading")

    def stopping(self) -> None:
        self.calls.append("stopping")

    def note(self, name: EventName, /, level: str = "", **facts: object) -> None:
        self.notes.append((name, {"level": level or name.level, **facts}))

    def noted(self, name: str) -> list[dict[str, object]]:
        return [facts for noted, facts in self.notes if noted == name]


@contextmanager
def watched(place: Town, load: Callable[[], Settings], effects: Effects | None = None) -> Iterator[tuple[Told, Any]]:
    """The service in a thread, with what it reports, and the event that requests a reload."""
    told, stop, hup = Told(), threading.Event(), threading.Event()

    def work() -> None:
        serve(
            load(),
            told,
            stop,
            reload=load,
            effects=effects,
            supervise=lambda _: contextlib.nullcontext(told),
            reload_requested=hup,
            hang_seconds=0.1,
        )

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield told, hup
    finally:
        stop.set()
        thread.join(15)
        assert not thread.is_alive(), "the service did not end"


def test_a_reload_applies_passwords_and_schedules_while_the_service_runs(tmp_path: Path) -> None:
    with town(tmp_path) as place:
        schedule = {"every": "1h"}
        place.simulator.set_password("demo2", "another")
        with watched(place, lambda: place.settings(**schedule)) as (told, hup):
            eventually(lambda: place.home("demo1") == len(place.simulator.ids("demo1")))
            assert place.home("demo2") == 0
            place.passwords["demo2"] = "another"
            schedule["every"] = "2h"
            hup.set()
            eventually(lambda: place.home("demo2") == len(place.simulator.ids("demo2")))
        (facts,) = told.noted("settings.reloaded")
    assert (facts["accounts"], facts["schedules"], facts["needs_restart"]) == ("demo2", "demo1, demo2", "")
    assert told.calls == ["started", "alive", "reloading", "started", "alive", "stopping"]
    assert re.search(r"; 2 accounts, \d documents waiting; .*last cycle at \d\d:\d\d \(demo", told.status)


def test_a_wrong_configuration_is_refused_and_the_old_one_stays_in_use(tmp_path: Path) -> None:
    with town(tmp_path) as place:
        given: dict[str, Any] = {}
        broken = threading.Event()

        def load() -> Settings:
            if broken.is_set():
                raise UsageError("sync.workers must be a whole number")
            return place.settings(**given)

        with watched(place, load) as (told, hup):
            eventually(lambda: all_marked(place))
            broken.set()
            hup.set()
            eventually(lambda: bool(told.noted("settings.refused")))
            place.simulator.add_document(
                "demo1", {"FA": ("a.xml", b"<a/>"), "MT": ("m.xml", b"<m/>"), "FU": ("u.xml", b"<u/>")}
            )
            eventually(lambda: all_marked(place))
            broken.clear()
            given["workers"] = 5
            hup.set()
            eventually(lambda: bool(told.noted("settings.reloaded")))
        (facts,) = told.noted("settings.reloaded")
    assert (facts["level"], facts["needs_restart"]) == ("warning", "sync.workers")


def test_while_the_engine_hangs_the_supervisor_is_not_told_that_the_service_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "LEAST_HANG_SECONDS", 2.0)
    with town(tmp_path) as place:
        effects = Effects(clock=HangingClock(SystemClock(), 1.0))
        with watched(place, place.settings, effects) as (told, _):
            eventually(lambda: bool(told.noted("thread.hung")))
            told.calls.append("hung")
            threading.Event().wait(1.5)
            assert told.calls[-1] == "hung"
        assert told.noted("thread.hung")[0]["threads"] == "dispatch"


def replace_with_a_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("restored"))
    path.with_name("restored").replace(path)


@pytest.mark.parametrize("spoil", [replace_with_a_copy, Path.unlink])
def test_the_service_stops_if_its_database_is_another_file(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """It would go on with the file it opened, and whatever it committed there would be lost."""

    def serve_until_spoiled(place: Town) -> None:
        with running(place) as ended:
            eventually(lambda: all_marked(place))
            spoil(tmp_path / "archive.db")
            eventually(ended.is_set)

    with town(tmp_path) as place, pytest.raises(StorageBroken, match="replaced or removed"):
        serve_until_spoiled(place)


def test_the_service_waits_for_space_on_a_full_disk_and_reports_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.Event()
    full.set()
    turn = Accounts.turn

    def failing(accounts: Accounts, account_id: int) -> int:
        if full.is_set():
            raise StorageFault("the disk of the database is full; free some space")
        return turn(accounts, account_id)

    monkeypatch.setattr(Accounts, "turn", failing)
    monkeypatch.setattr(Spool, "has_space", lambda _: not full.is_set())
    with town(tmp_path) as place, watched(place, place.settings) as (told, _):
        eventually(lambda: len(told.noted("service.troubled")) >= 3)
        full.clear()
        eventually(lambda: all_marked(place))
    assert len(told.noted("storage.failed")) == 1


def test_a_request_whose_end_could_not_be_written_is_ended_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, tries = ServiceRequests.end, [0]

    def busy_at_first(requests: ServiceRequests, request_id: int, outcome: Mapping[str, Any], now: datetime) -> None:
        tries[0] += 1
        if tries[0] == 1:
            raise DatabaseUnavailable("the database does not answer (database is locked)")
        end(requests, request_id, outcome, now)

    monkeypatch.setattr(ServiceRequests, "end", busy_at_first)
    with town(tmp_path) as place, running(place):
        eventually(lambda: all_marked(place))
        outcome = catch_up(place.settings(), CatchUpRequest(deadline_seconds=20))
    assert (outcome.finished, tries[0]) == (True, 2)


def test_an_interrupted_catch_up_reports_that_the_service_continues(tmp_path: Path) -> None:
    class Interrupting(SystemClock):
        """Ctrl-C, while the command waits for the service."""

        def wait(self, wake: threading.Event, seconds: float) -> bool:
            raise KeyboardInterrupt

    with town(tmp_path, accounts=1) as place, running(place, every="1h"):
        eventually(lambda: all_marked(place))
        late = place.simulator.add_document(
            "demo1", {"FA": ("a.xml", b"<a/>"), "MT": ("m.xml", b"<m/>"), "FU": ("u.xml", b"<u/>")}
        )
        with pytest.raises(KeyboardInterrupt) as raised:
            catch_up(place.settings(), CatchUpRequest(), effects=Effects(clock=Interrupting()))
        assert any("the running service continues" in note for note in raised.value.__notes__)
        eventually(lambda: late in place.simulator.marked())


def called(place: Town, label: str, other: str) -> Settings:
    """The configuration with another label for one account."""
    accounts = {other if name == label else name: one for name, one in place.settings().accounts.items()}
    return place.settings().model_copy(update={"accounts": accounts})


@pytest.mark.parametrize("renamed", ["in the configuration", "in the archive too"])
def test_a_handed_over_catch_up_includes_accounts_with_another_label(tmp_path: Path, renamed: str) -> None:
    with town(tmp_path) as place, running(place, every="1h"):
        eventually(lambda: all_marked(place))
        settings = called(place, "demo1", "italia")
        if renamed == "in the archive too":
            with existing_archive(settings) as archive:
                archive.accounts.rename("demo1", "italia", datetime.now(UTC))
        outcome = catch_up(settings, CatchUpRequest(deadline_seconds=PATIENCE_SECONDS))
        found = {count.label: count.acknowledged for count in outcome.counts}
        name = "demo1" if renamed == "in the configuration" else "italia"
        assert found == {name: len(place.simulator.ids("demo1")), "demo2": len(place.simulator.ids("demo2"))}
        if renamed == "in the configuration":
            outcome = catch_up(settings, CatchUpRequest(("italia",), deadline_seconds=PATIENCE_SECONDS))
            assert ([count.label for count in outcome.counts], outcome.finished) == (["demo1"], True)


def test_next_runs_are_in_the_archive_while_the_service_runs(
    tmp_path: Path,
) -> None:
    def next_runs(place: Town) -> list[datetime | None]:
        with existing_archive(place.settings()) as archive:
            return [overview.next_run_at for overview in archive.account_statuses.overviews()]

    with town(tmp_path) as place:
        begun = datetime.now(UTC)
        with running(place, every="1h"):
            eventually(lambda: all_marked(place))
            eventually(lambda: None not in next_runs(place))
            for at in next_runs(place):
                assert at is not None
                assert 3500 < (at - begun).total_seconds() < 3700 + PATIENCE_SECONDS
        assert next_runs(place) == [None, None]
