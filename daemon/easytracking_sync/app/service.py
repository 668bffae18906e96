"""The service: runs cycles on schedule and batches when due, until it is stopped."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping

from easytracking_sync.app.alerts import GRACE, LAST_FLUSH_SECONDS, alarm_watch
from easytracking_sync.app.catch_up.handover import HandoverServer
from easytracking_sync.app.composition import (
    RUN_COMMAND,
    Instance,
    client_of,
    machine_account,
    open_instance,
    shut_down,
    wait_for_database,
)
from easytracking_sync.app.schedule import PublishedSchedule, Scheduler
from easytracking_sync.app.settings_change import SettingsChange, compare_settings
from easytracking_sync.app.supervision import UNSUPERVISED, StatusLine, Supervisor
from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.effects import Effects
from easytracking_sync.errors import DatabaseUnavailable, StorageFault, SyncError, UsageError
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.corrections import try_now
from easytracking_sync.machine.engine_threads import EngineThreads
from easytracking_sync.machine.hang_detection import HANG_SECONDS
from easytracking_sync.machine.listing import Scope
from easytracking_sync.machine.listing.threads import ListingThreads
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.reconciling import note_reconciled, notice_restore, scope_due, scope_since_last_run
from easytracking_sync.settings import Settings
from easytracking_sync.terms import PauseReason

LOOP_SECONDS = 1.0
LEAST_HANG_SECONDS = 5.0
READ_SECRETS_EVERY_SECONDS = 60.0
READ_GENERATION_EVERY_SECONDS = 60.0
REPORT_STORAGE_EVERY_SECONDS = 600.0
"""Report a full disk at most every ten minutes."""

ENDED_BY_A_CHANGE = (PauseReason.CREDENTIALS, PauseReason.UNREACHABLE)
"""Pauses that end when the account's settings change, or at a restart, because they may have changed."""

Supervise = Callable[[Instance], contextlib.AbstractContextManager[Supervisor]]
"""Given the instance, returns the supervisor to tell until the context ends."""


def serve(
    settings: Settings,
    observer: Observer,
    stop: threading.Event,
    *,
    reload: Callable[[], Settings],
    effects: Effects | None = None,
    supervise: Supervise | None = None,
    reload_requested: threading.Event | None = None,
    hang_seconds: float | None = None,
    preparing: Callable[[str], object] = lambda _: None,
) -> None:
    """Lock the archive and run the service for all configured accounts until `stop` is set.

    Waits for a database server that is not up yet. `preparing` is called with each stage of the start.
    When `reload_requested` is set, `reload` loads the configuration again; a wrong one changes nothing. If a step of
    a thread takes longer than `hang_seconds`, the supervisor is no longer told that the service is alive.

    Raises UsageError, LockHeld or StorageBroken; trouble with an account's service never ends it.
    """
    effects = effects or Effects()
    preparing("Waiting for the database")
    if not wait_for_database(settings, effects, observer, stop):
        return
    preparing("Opening the archive")
    with contextlib.ExitStack() as closing:
        instance = closing.enter_context(open_instance(settings, (), observer, effects=effects, command=RUN_COMMAND))
        supervisor = closing.enter_context(supervise(instance)) if supervise else UNSUPERVISED
        service = Service(
            instance,
            settings,
            effects,
            observer,
            reload=reload,
            supervisor=supervisor,
            reload_requested=reload_requested or threading.Event(),
            hang_seconds=hang_seconds or HANG_SECONDS,
        )
        service.run(stop)


class Service:
    """Runs until `stop` is set. Only Fatal errors and bugs in its own loop end it, never trouble with an account."""

    def __init__(
        self,
        instance: Instance,
        settings: Settings,
        effects: Effects,
        observer: Observer,
        *,
        reload: Callable[[], Settings],
        supervisor: Supervisor,
        reload_requested: threading.Event,
        hang_seconds: float,
    ) -> None:
        self._instance = instance
        self._archive = instance.archive
        self._settings = settings
        self._effects = effects
        self._observer = observer
        self._reload = reload
        self._reload_requested = reload_requested
        self._supervisor = supervisor
        self._status_line = StatusLine(instance.archive, effects.clock)
        self._hung: tuple[str, ...] = ()
        self._accounts: Mapping[str, Account] = {account.label: account for account in instance.accounts}
        self._former: list[Account] = []  # replaced accounts, whose clients threads may still use
        self._changed: set[str] = set()  # labels of accounts to list once more with their new settings
        self._listed_since_last_run: set[str] = set()
        self._due: queue.SimpleQueue[str] = queue.SimpleQueue()  # labels whose cycle is due
        self._engine_threads = EngineThreads(
            instance.engine,
            effects.clock,
            observer,
            workers=settings.sync.workers,
            hang_seconds=max(LEAST_HANG_SECONDS, hang_seconds),
        )
        self._listing = ListingThreads(
            instance.archive, instance.engine, self._engine_threads, effects, observer, kind="sync"
        )
        self._handover = HandoverServer(instance, self._listing, effects.clock)
        schedules = {label: settings.schedule(label) for label in self._accounts}
        self._scheduler = Scheduler(schedules, settings.timezone, effects.clock, observer, self._due.put)
        self._published_schedule = PublishedSchedule(instance.archive.accounts, effects.clock)
        self._generation_read_at = effects.clock.monotonic()
        self._secrets_read_at = self._storage_reported_at = effects.clock.monotonic()
        self._alarms = alarm_watch(
            lambda: self._settings,
            instance,
            effects,
            observer,
            reasons=lambda: self._listing.state.troubles,
            grace=GRACE,
        )

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set. Raises Fatal errors and bugs. The next start resumes everything."""
        for reason in ENDED_BY_A_CHANGE:
            self._archive.accounts.resume(self._instance.account_ids, reason)
        self._archive.service_requests.reopen()
        self._engine_threads.start()
        self._listing.start(len(self._accounts))
        self._scheduler.start()
        self._observer.note(EventName.SERVICE_STARTED, accounts=len(self._accounts))
        try:
            self._supervisor.started()
            while not stop.is_set() and self._failure() is None:
                self._beat()
                if self._is_alive():
                    self._supervisor.alive(self._status())
                self._effects.clock.wait(stop, LOOP_SECONDS)
        finally:
            self._supervisor.stopping()
            self._observer.note(EventName.SERVICE_STOPPING)
            self._scheduler.stop()
            self._listing.stop()
            shut_down(self._engine_threads, (*self._accounts.values(), *self._former))
            if self._alarms is not None:
                self._alarms.close(LAST_FLUSH_SECONDS)
        failure = self._failure()
        if failure is not None:
            raise failure
        self._published_schedule.withdraw()

    def _status(self) -> str:
        is_fetching = not self._engine_threads.is_idle
        doing = "listing" if not self._listing.is_idle else "fetching" if is_fetching else "waiting"
        return self._status_line.text(self._accounts, doing=doing)

    def _is_alive(self) -> bool:
        """Whether no thread hangs; hanging threads are reported once."""
        hung = self._engine_threads.hang_detector.hung()
        if hung and hung != self._hung:
            self._observer.note(EventName.THREAD_HUNG, threads=", ".join(hung))
        self._hung = hung
        return not hung

    def _failure(self) -> BaseException | None:
        return self._engine_threads.failure or self._listing.state.failure

    def _beat(self) -> None:
        self._archive.database.require_same_file()
        self._scheduler.check()
        try:
            while not self._due.empty():
                self._begin_cycle(self._due.get())
            for remainder in self._listing.take_remainders():
                self._listing.request(remainder.account, remainder.scope)
            self._look_for_a_restore()
            self._handover.beat(tuple(self._accounts.values()))
            if self._reload_requested.is_set():
                self._reload_requested.clear()
                self._reload_settings()
            self._check_secrets()
            self._published_schedule.publish(
                {self._accounts[label].id: at for label, at in self._scheduler.due.items()}
            )
        except (DatabaseUnavailable, StorageFault) as trouble:  # it may pass
            self._observer.note(EventName.SERVICE_TROUBLED, reason=str(trouble))
        if self._alarms is not None:
            self._alarms.beat(self._instance.account_ids)
        now = self._effects.clock.monotonic()
        if now - self._storage_reported_at >= REPORT_STORAGE_EVERY_SECONDS:
            self._storage_reported_at = now
            self._instance.engine.storage_failure = None  # reported again if it persists

    def _look_for_a_restore(self) -> None:
        """A database that was restored or promoted while the service runs: list every account at once."""
        now = self._effects.clock.monotonic()
        if now - self._generation_read_at < READ_GENERATION_EVERY_SECONDS:
            return
        self._generation_read_at = now
        self._archive.generation.close_step()
        if notice_restore(self._archive, self._observer):
            for label in self._accounts:
                self._due.put(label)

    def _begin_cycle(self, label: str) -> None:
        """Request the account's scheduled cycle, unless the account is paused."""
        accounts, account, now = self._archive.accounts, self._accounts[label], self._effects.clock.now()
        try:
            if accounts.paused(account.id, now) in ENDED_BY_A_CHANGE:
                return
            scope = scope_due(self._archive, account, now) or Scope.scheduled(account, now, accounts.turn(account.id))
        except (DatabaseUnavailable, StorageFault):
            self._due.put(label)
            raise

        def ended(record: CycleRecord | None) -> None:
            self._status_line.cycle_ended(label, record, self._settings)
            note_reconciled(self._archive, account, scope, record, self._observer)
            if label in self._changed:
                self._due.put(label)
            elif record is not None and label not in self._listed_since_last_run:
                self._listed_since_last_run.add(label)
                self._listing.request(account, scope_since_last_run(self._archive, account, now))

        if self._listing.request(account, scope, ended, waits=False):
            self._changed.discard(label)
        elif account.id not in self._listing.state.troubles:  # which is reported already
            self._observer.note(EventName.CYCLE_OVERLAPPED, account=label)

    def _check_secrets(self) -> None:
        """Resume a paused account at once when its secret has changed."""
        now = self._effects.clock.monotonic()
        if now - self._secrets_read_at < READ_SECRETS_EVERY_SECONDS:
            return
        self._secrets_read_at = now
        pauses = self._archive.accounts.pauses(self._effects.clock.now())
        paused = [label for label, account in self._accounts.items() if pauses.get(account.id) in ENDED_BY_A_CHANGE]
        if not paused:
            return
        try:
            loaded = self._reload()
        except SyncError as trouble:
            self._observer.note(EventName.SETTINGS_UNREADABLE, reason=str(trouble))
            return
        for label in paused:
            if label in loaded.accounts and _secrets(loaded, label) != _secrets(self._settings, label):
                self._replace_account(label, loaded)

    def _reload_settings(self) -> None:
        self._supervisor.reloading()
        try:
            loaded = self._reload()
        except SyncError as trouble:
            self._observer.note(EventName.SETTINGS_REFUSED, reason=str(trouble))
        else:
            self._apply(compare_settings(self._settings, loaded), loaded)
        self._supervisor.started()

    def _apply(self, change: SettingsChange, loaded: Settings) -> None:
        """Apply what needs no restart. An account whose new settings are wrong keeps its old ones."""
        replaced = []
        for label in change.accounts:
            try:
                self._replace_account(label, loaded)
            except UsageError as trouble:
                self._observer.note(EventName.SETTINGS_REFUSED, account=label, reason=str(trouble))
            else:
                replaced.append(label)
        if change.schedules:
            self._scheduler.reschedule({label: change.settings.schedule(label) for label in change.schedules})
        kept = {label: self._settings.accounts[label] for label in set(change.accounts) - set(replaced)}
        self._settings = change.settings.model_copy(update={"accounts": {**change.settings.accounts, **kept}})
        self._observer.note(
            EventName.SETTINGS_RELOADED,
            level="warning" if change.restart else "info",
            accounts=", ".join(replaced),
            schedules=", ".join(change.schedules),
            needs_restart=", ".join(change.restart),
        )

    def _replace_account(self, label: str, loaded: Settings) -> None:
        old = self._accounts[label]
        client = client_of(loaded, label, self._effects, self._observer)
        account = machine_account(old.id, label, loaded, client)
        self._settings = self._settings.model_copy(
            update={"accounts": {**self._settings.accounts, label: loaded.accounts[label]}}
        )
        self._accounts = {**self._accounts, label: account}
        self._instance.engine.replace(account)
        self._former.append(old)
        try_now(self._archive, (account.id,), self._effects.clock.now())
        self._observer.note(EventName.SECRET_CHANGED, account=label)
        self._changed.add(label)  # if it is being listed with its old settings, another cycle follows
        self._listing.drop(account.id)
        self._due.put(label)


def _secrets(settings: Settings, label: str) -> tuple[str, str]:
    account = settings.accounts[label]
    return account.password.get_secret_value(), account.client_secret.get_secret_value()
