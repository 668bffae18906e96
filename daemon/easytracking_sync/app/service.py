"""The service: cycles by the clock, batches whenever they are due, until it is told to stop."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping

from easytracking_sync.app.alerts import GRACE, LAST_FLUSH_SECONDS, alarm_watch
from easytracking_sync.app.catch_up.handover import Desk
from easytracking_sync.app.composition import RUNNING_SERVICE, Station, farewell, machine_account, service_of, station
from easytracking_sync.app.listers import Listers
from easytracking_sync.app.next_runs import NextRuns
from easytracking_sync.app.schedule import AlarmClock
from easytracking_sync.app.settings_change import Change, change
from easytracking_sync.app.situation import Situation
from easytracking_sync.app.supervision import UNWATCHED, Pulse
from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.effects import Effects
from easytracking_sync.errors import DatabaseUnavailable, StorageFault, SyncError, UsageError
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.engine_threads import Crew
from easytracking_sync.machine.hang_detection import PATIENCE_SECONDS
from easytracking_sync.machine.listing.cycle import Span
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Settings
from easytracking_sync.terms import PauseReason

BEAT_SECONDS = 1.0
LEAST_PATIENCE_SECONDS = 5.0
SECRETS_EVERY_SECONDS = 60.0
STORAGE_SAID_EVERY_SECONDS = 600.0
"""A disk that stays full is no news every second."""

TRIED_AT_ONCE = (PauseReason.CREDENTIALS, PauseReason.UNREACHABLE)
"""Pauses that end when the account has changed, or with a restart, which may have changed it."""

Watch = Callable[[Station], contextlib.AbstractContextManager[Pulse]]
"""Whatever looks on while the service runs over a station: who is to be told, until the context ends."""


def serve(
    settings: Settings,
    observer: Observer,
    stop: threading.Event,
    *,
    reload: Callable[[], Settings],
    effects: Effects | None = None,
    watch: Watch | None = None,
    told_to_reload: threading.Event | None = None,
    patience_seconds: float | None = None,
) -> None:
    """Hold the archive and run the service over all configured accounts until `stop` is set.

    Whenever `told_to_reload` is set, the configuration is read again by `reload`; a wrong one changes nothing.
    A thread whose turn takes longer than `patience_seconds` hangs, and the pulse stops.

    Raises UsageError, LockHeld or StorageBroken; what an account's service does never ends it.
    """
    effects = effects or Effects()
    with contextlib.ExitStack() as closing:
        at_work = closing.enter_context(station(settings, (), observer, effects=effects, doing=RUNNING_SERVICE))
        pulse = closing.enter_context(watch(at_work)) if watch else UNWATCHED
        service = Service(
            at_work,
            settings,
            effects,
            observer,
            reload=reload,
            pulse=pulse,
            told_to_reload=told_to_reload,
            patience_seconds=patience_seconds,
        )
        service.run(stop)


class Service:
    """Runs until `stop` is set. One account's trouble never ends it: only Fatal errors, and bugs of its own loop."""

    def __init__(
        self,
        at_work: Station,
        settings: Settings,
        effects: Effects,
        observer: Observer,
        *,
        reload: Callable[[], Settings],
        pulse: Pulse = UNWATCHED,
        told_to_reload: threading.Event | None = None,
        patience_seconds: float | None = None,
    ) -> None:
        self._station = at_work
        self._told_to_reload = told_to_reload or threading.Event()
        self._replaced: list[Account] = []
        self._hung: tuple[str, ...] = ()
        self._situation = Situation(at_work.archive, effects.clock)
        self._next_runs = NextRuns(at_work.archive.accounts, effects.clock)
        self._pulse = pulse
        self._settings = settings
        self._reload = reload
        self._effects = effects
        self._observer = observer
        self._accounts: Mapping[str, Account] = {account.label: account for account in at_work.accounts}
        self._rung: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._changed: set[str] = set()
        patience = max(LEAST_PATIENCE_SECONDS, patience_seconds or PATIENCE_SECONDS)
        workers = settings.sync.workers
        self._crew = Crew(at_work.engine, effects.clock, observer, workers=workers, patience_seconds=patience)
        self._listers = Listers(at_work, self._crew, effects, observer, kind="sync")
        self._desk = Desk(at_work, self._listers, effects.clock)
        schedules = {label: settings.schedule(label) for label in self._accounts}
        self._alarm = AlarmClock(schedules, settings.timezone, effects.clock, observer, self._rung.put)
        self._secrets_read_at = self._storage_asked_at = effects.clock.monotonic()
        troubles = self._listers.listed.troubles
        self._alarms = alarm_watch(
            lambda: self._settings, at_work, effects, observer, reasons=lambda: troubles, grace=GRACE
        )

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; raises what is Fatal, and a bug. Everything is resumable afterwards."""
        archive, accounts = self._station.archive, self._station.account_ids
        for reason in TRIED_AT_ONCE:
            archive.accounts.resume(accounts, reason)
        archive.requests.give_back()
        self._crew.start()
        self._listers.start()
        self._alarm.start()
        self._observer.note("service.started", accounts=len(self._accounts))
        try:
            self._pulse.started()
            while not stop.is_set() and self._failure() is None:
                self._beat()
                if self._is_lively():
                    self._pulse.turned(self._words())
                self._effects.clock.wait(stop, BEAT_SECONDS)
        finally:
            self._pulse.stopping()
            self._observer.note("service.stopping")
            self._alarm.stop()
            self._listers.stop()
            farewell(self._crew, (*self._accounts.values(), *self._replaced))
            if self._alarms is not None:
                self._alarms.close(LAST_FLUSH_SECONDS)
        failure = self._failure()
        if failure is not None:
            raise failure
        self._next_runs.forget()

    def _words(self) -> str:
        """What is going on, in one line."""
        doing = "listing" if not self._listers.is_idle else "fetching" if not self._crew.is_idle else "waiting"
        return self._situation.words(self._accounts, doing=doing)

    def _is_lively(self) -> bool:
        """Whether every thread turns, or waits on purpose; those that do not are named once."""
        hung = self._crew.turns.late()
        if hung and hung != self._hung:
            self._observer.note("thread.hung", level="critical", threads=", ".join(hung))
        self._hung = hung
        return not hung

    def _failure(self) -> BaseException | None:
        return self._crew.failure or self._listers.listed.failure

    def _beat(self) -> None:
        self._alarm.tend()
        try:
            while not self._rung.empty():
                self._begin_cycle(self._rung.get())
            for rest in self._listers.take_rests():
                self._listers.ask(rest.account, rest.span)
            self._desk.beat(tuple(self._accounts.values()))
            if self._told_to_reload.is_set():
                self._told_to_reload.clear()
                self._read_again()
            self._look_at_secrets()
            self._next_runs.keep({self._accounts[label].id: at for label, at in self._alarm.due.items()})
        except (DatabaseUnavailable, StorageFault) as trouble:  # a full disk may be emptied
            self._observer.note("service.troubled", level="error", reason=str(trouble))
        if self._alarms is not None:
            self._alarms.beat(self._station.account_ids)
        now = self._effects.clock.monotonic()
        if now - self._storage_asked_at >= STORAGE_SAID_EVERY_SECONDS:
            self._storage_asked_at = now
            self._station.engine.storage_failure = None  # said when it came; said anew if it stays

    def _begin_cycle(self, label: str) -> None:
        """The newest window, and one older in rotation; a paused account waits for its pause to end."""
        archive, account = self._station.archive, self._accounts[label]
        try:
            if archive.accounts.paused(account.id, self._effects.clock.now()) in TRIED_AT_ONCE:
                return
            span = Span.of_cycle(account, self._effects.clock.now(), archive.accounts.turn(account.id))
        except (DatabaseUnavailable, StorageFault):
            self._rung.put(label)
            raise

        def ended(record: CycleRecord | None) -> None:
            self._situation.cycle_ended(label, record, self._settings)
            if label in self._changed:
                self._rung.put(label)

        if self._listers.ask(account, span, ended, patient=False):
            self._changed.discard(label)
        elif account.id not in self._listers.listed.troubles:  # which is told already
            self._observer.note("cycle.overlapped", level="warning", account=label)

    def _look_at_secrets(self) -> None:
        """An account whose login was refused is tried at once when its secret has changed."""
        now = self._effects.clock.monotonic()
        if now - self._secrets_read_at < SECRETS_EVERY_SECONDS:
            return
        self._secrets_read_at = now
        pauses = self._station.archive.accounts.pauses(self._effects.clock.now())
        refused = [label for label, account in self._accounts.items() if pauses.get(account.id) in TRIED_AT_ONCE]
        if not refused:
            return
        try:
            read = self._reload()
        except SyncError as trouble:
            self._observer.note("settings.unreadable", level="warning", reason=str(trouble))
            return
        for label in refused:
            if label in read.accounts and _secrets(read, label) != _secrets(self._settings, label):
                self._take_up(label, read)

    def _read_again(self) -> None:
        self._pulse.reloading()
        try:
            read = self._reload()
        except SyncError as trouble:
            self._observer.note("settings.refused", level="error", reason=str(trouble))
        else:
            self._follow(change(self._settings, read), read)
        self._pulse.started()

    def _follow(self, changed: Change, read: Settings) -> None:
        """Take up what needs no restart; an account that cannot be taken up stays as it is."""
        taken_up = []
        for label in changed.accounts:
            try:
                self._take_up(label, read)
            except UsageError as trouble:
                self._observer.note("settings.refused", level="error", account=label, reason=str(trouble))
            else:
                taken_up.append(label)
        if changed.schedules:
            self._alarm.reschedule({label: changed.settings.schedule(label) for label in changed.schedules})
        kept = {label: self._settings.accounts[label] for label in set(changed.accounts) - set(taken_up)}
        self._settings = changed.settings.model_copy(update={"accounts": {**changed.settings.accounts, **kept}})
        self._observer.note(
            "settings.reloaded",
            level="warning" if changed.restart else "info",
            accounts=", ".join(taken_up),
            schedules=", ".join(changed.schedules),
            needs_restart=", ".join(changed.restart),
        )

    def _take_up(self, label: str, read: Settings) -> None:
        old = self._accounts[label]
        account = machine_account(old.id, label, read, service_of(read, label, self._effects, self._observer))
        self._settings = self._settings.model_copy(
            update={"accounts": {**self._settings.accounts, label: read.accounts[label]}}
        )
        self._accounts = {**self._accounts, label: account}
        self._station.engine.replace(account)
        self._replaced.append(old)  # a thread may be in the middle of a call
        self._station.archive.accounts.resume((account.id,))
        self._observer.note("secret.changed", account=label)
        self._changed.add(label)  # should a list be under way with what it had before, another follows
        self._listers.drop(account.id)
        self._rung.put(label)


def _secrets(settings: Settings, label: str) -> tuple[str, str]:
    account = settings.accounts[label]
    return account.password.get_secret_value(), account.client_secret.get_secret_value()
