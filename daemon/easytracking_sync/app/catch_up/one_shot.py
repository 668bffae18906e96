"""The catch-up in this process: resume, list the whole history, and work until nothing is left to do."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from easytracking_sync.app.alerts import FLUSH_SECONDS, alarm_watch
from easytracking_sync.app.catch_up.dry_run import dry_run
from easytracking_sync.app.catch_up.handover import HandoverClient
from easytracking_sync.app.catch_up.outcome import (
    NO_PROGRESS_SECONDS,
    CatchUpOutcome,
    CatchUpRequest,
    Progress,
    count_of,
)
from easytracking_sync.app.composition import (
    RUN_COMMAND,
    Instance,
    existing_archive,
    open_instance,
    shut_down,
    wait_for_database,
)
from easytracking_sync.archive.cycles import CycleRecord
from easytracking_sync.archive.opening import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import DatabaseUnavailable, LockHeld, UsageError
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.corrections import try_now
from easytracking_sync.machine.engine_threads import EngineThreads
from easytracking_sync.machine.listing import Scope
from easytracking_sync.machine.listing.threads import ListingThreads
from easytracking_sync.machine.observer import Observer, Silent
from easytracking_sync.machine.reconciling import note_reconciled, scope_due, scope_since_last_run
from easytracking_sync.settings import Settings
from easytracking_sync.terms import PauseReason

LOOK_SECONDS = 0.25
COUNT_EVERY_SECONDS = 1.0
DATABASE_SECONDS = 60.0
"""Without a deadline, a database server that does not answer is waited for this long."""
CONTINUES = "the running service continues the work; run catch-up again to follow it"
"""A note added to an interruption after the work was handed over."""


def catch_up(
    settings: Settings,
    request: CatchUpRequest,
    *,
    effects: Effects | None = None,
    progress: Progress | None = None,
    observer: Observer | None = None,
) -> CatchUpOutcome:
    """Fetch, store and acknowledge every document of the chosen accounts, or report what is left and why.

    If a service is running, it does the work. Safe to repeat and to interrupt (KeyboardInterrupt, SystemExit): the
    next run resumes. Raises UsageError, LockHeld or StorageBroken; everything else is part of the outcome.
    """
    effects = effects or Effects()
    observer = observer or Silent()
    if request.dry_run:
        return dry_run(settings, request, effects, observer)
    handover: HandoverClient | None = None
    while True:
        try:
            return _run(settings, request, effects, progress, observer)
        except LockHeld as held:
            if held.command != RUN_COMMAND:
                raise
        handover = handover or HandoverClient(*_as_archived(settings, request, effects), effects, progress)
        try:
            outcome = handover.wait()
        except BaseException as interruption:
            interruption.add_note(CONTINUES)
            raise
        if outcome is not None:
            return outcome  # otherwise try again: if the service has ended, the work is ours


def _run(
    settings: Settings,
    request: CatchUpRequest,
    effects: Effects,
    progress: Progress | None,
    observer: Observer,
) -> CatchUpOutcome:
    begun, deadline = effects.clock.monotonic(), request.deadline_seconds
    patience = DATABASE_SECONDS if deadline is None else deadline
    wait_for_database(settings, effects, observer, threading.Event(), seconds=patience)
    with open_instance(settings, request.accounts, observer, effects=effects, command="catch-up") as instance:
        instance.archive.service_requests.drop(effects.clock.now())
        try_now(instance.archive, instance.account_ids, effects.clock.now())
        run = _Run(instance, request, effects, observer, workers=settings.sync.workers)
        alarms = alarm_watch(lambda: settings, instance, effects, observer, reasons=lambda: run.troubles)
        why_unfinished = run.work(begun, deadline, progress)
        outcome = _outcome(instance, run, why_unfinished, effects.clock.monotonic() - begun)
        if alarms is not None:
            alarms.look_now(instance.account_ids, healthy=outcome.finished and outcome.storage_failure is None)
            alarms.close(FLUSH_SECONDS)
        return outcome


def _as_archived(settings: Settings, request: CatchUpRequest, effects: Effects) -> tuple[Settings, CatchUpRequest]:
    """The same accounts by their labels in the archive, which the running service uses too.

    The configuration may have other labels until the service is restarted.
    """
    with existing_archive(settings, effects) as archive:
        archived = {entry.identity: entry.label for entry in archive.accounts.entries()}
    labels = {label: archived.get(identity, label) for identity, label in settings.labels.items()}
    if len(set(labels.values())) < len(labels):
        raise UsageError("a label belongs to different accounts in archive and configuration; see accounts list")
    accounts = {labels[label]: account for label, account in settings.accounts.items()}
    chosen = tuple(labels[label] for label in request.accounts)
    return settings.model_copy(update={"accounts": accounts}), replace(request, accounts=chosen)


class _Run:
    """Threads list and work; the calling thread watches them."""

    def __init__(
        self, instance: Instance, request: CatchUpRequest, effects: Effects, observer: Observer, *, workers: int
    ) -> None:
        self._instance = instance
        self._clock = effects.clock
        self.engine_threads = EngineThreads(instance.engine, effects.clock, observer, workers=workers)
        self._listing = ListingThreads(
            instance.archive, instance.engine, self.engine_threads, effects, observer, kind="catch-up"
        )
        for account in instance.accounts:
            now = effects.clock.now()
            scope = scope_due(instance.archive, account, now) or Scope.of_days(
                account, now, request.start, request.end, marked_too=not request.new_only
            )
            ended = partial(_note_reconciled, instance.archive, account, scope, observer)
            self._listing.request(account, scope, ended)
            if request.new_only and not scope.marked_too:
                self._listing.request(account, scope_since_last_run(instance.archive, account, now))

    def work(self, begun: float, deadline_seconds: float | None, progress: Progress | None) -> str:
        """Work until the end, the deadline or a failure; why it is unfinished. Raises Fatal errors and bugs.

        The deadline counts from the monotonic time `begun`.
        """
        self.engine_threads.start()
        self._listing.start(len(self._instance.accounts))
        try:
            why_unfinished = self._watch(begun, deadline_seconds, progress)
        finally:
            self._listing.stop()
            shut_down(self.engine_threads, self._instance.accounts)
        failure = self.engine_threads.failure or self._listing.state.failure
        if failure is not None:
            raise failure
        return why_unfinished

    @property
    def troubles(self) -> Mapping[int, str]:
        """Why accounts cannot be listed, by account id."""
        return self._listing.state.troubles

    @property
    def unreadable(self) -> int:
        """List elements without an id."""
        return self._listing.state.unreadable

    def _watch(self, begun: float, deadline_seconds: float | None, progress: Progress | None) -> str:
        engine, listed = self._instance.engine, self._listing.state
        moved_at = counted_at = self._clock.monotonic()
        before = (0, 0)
        while True:
            self.engine_threads.changed.clear()
            self._clock.wait(self.engine_threads.changed, LOOK_SECONDS)
            now = self._clock.monotonic()
            if self.engine_threads.failure or listed.failure:
                return "stopped"
            if engine.storage_failure:
                return "storage failed"
            is_idle = self.engine_threads.is_idle and self._listing.is_idle
            if now - counted_at < COUNT_EVERY_SECONDS and not is_idle:
                continue
            counted_at = now
            self._instance.archive.database.require_same_file()
            waiting = self._count_waiting()
            if progress is not None:
                doing = "fetching" if self._listing.is_idle else "listing and fetching"
                found = sum(listed.found.values())
                progress.show(listed=found, archived=engine.tally.documents, waiting=waiting, doing=doing)
            if (state := (sum(listed.windows.values()), engine.tally.moves)) != before:
                before, moved_at = state, now
            if is_idle and not self._can_continue() and not self._list_remainders():
                return self._reasons_at_end(waiting)
            if deadline_seconds is not None and now - begun >= deadline_seconds:
                return self._reasons_when_late(f"the deadline of {deadline_seconds:g} seconds passed", waiting)
            if deadline_seconds is None and now - moved_at >= NO_PROGRESS_SECONDS:
                return self._reasons_when_late(f"no progress for {NO_PROGRESS_SECONDS / 60:g} minutes", waiting)

    def _count_waiting(self) -> int:
        try:
            return sum(self._instance.archive.documents.waiting(self._instance.account_ids).values())
        except DatabaseUnavailable:
            return 0

    def _can_continue(self) -> bool:
        """Whether documents wait in an account that is not paused."""
        try:
            waiting = self._instance.archive.documents.waiting(self._instance.account_ids)
            pauses = self._instance.archive.accounts.pauses(self._clock.now())
        except DatabaseUnavailable:
            return True
        return any(count and account_id not in pauses for account_id, count in waiting.items())

    def _list_remainders(self) -> bool:
        """List the remainders again if acknowledging has made room in their lists; whether there are any."""
        requested = False
        for remainder in self._listing.take_remainders():
            if self._instance.engine.tally.acknowledged > remainder.acknowledged:
                requested |= self._listing.request(remainder.account, remainder.scope)
            else:
                problems = self._listing.state.problems.setdefault(remainder.account.id, [])
                problems.append(f"{remainder.account.label}: one second has more documents than a list may return")
        return requested

    def _reasons_at_end(self, waiting: int) -> str:
        pauses = self._instance.archive.accounts.pauses(self._clock.now())
        paused = [
            account.label for account in self._instance.accounts if pauses.get(account.id) is PauseReason.PERMISSION
        ]
        reasons = [problem for problems in self._listing.state.problems.values() for problem in problems]
        if paused:
            reasons.append(f"{', '.join(paused)} paused: the service refuses every document")
        if waiting and reasons:
            reasons.append(f"{waiting} documents waiting")
        return "; ".join(reasons)

    def _reasons_when_late(self, why: str, waiting: int) -> str:
        listing = "" if self._listing.is_idle else "the list is not complete"
        troubles = sorted(set(self._listing.state.troubles.values()))
        return "; ".join(part for part in (why, f"{waiting} documents waiting", listing, *troubles) if part)


def _note_reconciled(
    archive: Archive, account: Account, scope: Scope, observer: Observer, record: CycleRecord | None
) -> None:
    note_reconciled(archive, account, scope, record, observer)


def _outcome(instance: Instance, run: _Run, why_unfinished: str, seconds: float) -> CatchUpOutcome:
    ids = instance.account_ids  # labels may have changed meanwhile
    labels = [entry.label for entry in instance.archive.accounts.entries() if entry.id in ids]
    refused = instance.engine.circuit_breaker.refused
    tally = instance.engine.tally
    return CatchUpOutcome(
        counts=tuple(count_of(overview) for overview in instance.archive.account_statuses.overviews(labels)),
        documents=tally.documents,
        files=tally.files,
        bytes=tally.bytes,
        seconds=seconds,
        refused_accounts=tuple(account.label for account in instance.accounts if account.id in refused),
        unreadable=run.unreadable,
        storage_failure=instance.engine.storage_failure,
        bugs=run.engine_threads.bugs,
        finished=not why_unfinished,
        why_unfinished=why_unfinished,
    )
