"""The one-shot: resume what was left, list the whole history, drain to the end, and say how it went."""

from __future__ import annotations

from dataclasses import replace

from easytracking_sync.app.alerts import FLUSH_SECONDS, alarm_watch
from easytracking_sync.app.catch_up import dry_run
from easytracking_sync.app.catch_up.outcome import CatchUp, Outcome, Progress, count_of
from easytracking_sync.app.composition import RUNNING_SERVICE, Station, existing_archive, station
from easytracking_sync.app.drain import Drain, Ended
from easytracking_sync.app.handed_work import HandedWork
from easytracking_sync.app.span import span_of
from easytracking_sync.effects import Effects
from easytracking_sync.errors import LockHeld, UsageError
from easytracking_sync.machine.observer import Observer, Silent
from easytracking_sync.settings import Settings

GOES_ON = "the running service goes on with the work; start it again to follow it"
"""What an interruption means once the work is handed over: a note on whatever raises through here."""


def catch_up(
    settings: Settings,
    request: CatchUp,
    *,
    effects: Effects | None = None,
    progress: Progress | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Bring everything home that the chosen accounts have, or say what is left and why.

    Safe to repeat, and to interrupt at any point: what raises through here (KeyboardInterrupt, SystemExit) leaves a
    resumable archive. Raises UsageError, LockHeld or StorageBroken; everything else is told in the Outcome.
    """
    effects = effects or Effects()
    observer = observer or Silent()
    if request.dry_run:
        return _dry_run(settings, request, effects, observer)
    handed: HandedWork | None = None
    while True:
        try:
            return _run(settings, request, effects, progress, observer)
        except LockHeld as held:
            if held.command != RUNNING_SERVICE:
                raise
        handed = handed or HandedWork(*_as_archived(settings, request, effects), effects, progress)
        try:
            outcome = handed.wait()
        except BaseException as broken_off:
            broken_off.add_note(GOES_ON)
            raise
        if outcome is not None:
            return outcome  # else: is the service still there? If not, the work is ours


def _run(
    settings: Settings,
    request: CatchUp,
    effects: Effects,
    progress: Progress | None,
    observer: Observer,
) -> Outcome:
    begun = effects.clock.monotonic()
    with station(settings, request.accounts, observer, effects=effects, doing="catch-up") as at_work:
        at_work.archive.requests.drop(effects.clock.now())
        at_work.archive.accounts.resume(at_work.account_ids)  # a person asks: try at once
        spans = {
            account.id: span_of(account, effects.clock.now(), request.start, request.end, new_only=request.new_only)
            for account in at_work.accounts
        }
        drain = Drain(at_work, spans, effects, observer, workers=settings.sync.workers)
        alarms = alarm_watch(lambda: settings, at_work, effects, observer, reasons=lambda: drain.reasons)
        ended = drain.run(request.deadline_seconds, progress)
        outcome = _outcome(at_work, ended, effects.clock.monotonic() - begun)
        if alarms is not None:
            alarms.look_now(at_work.account_ids, healthy=outcome.finished and outcome.storage_failure is None)
            alarms.close(FLUSH_SECONDS)
        return outcome


def _dry_run(
    settings: Settings,
    request: CatchUp,
    effects: Effects,
    observer: Observer,
) -> Outcome:
    begun = effects.clock.monotonic()
    seen = dry_run.look(
        settings,
        request.accounts,
        request.start,
        request.end,
        new_only=request.new_only,
        deadline_seconds=request.deadline_seconds,
        effects=effects,
        observer=observer,
    )
    return Outcome(
        seconds=effects.clock.monotonic() - begun,
        would_fetch=seen.would_fetch,
        refused_accounts=seen.refused,
        unreadable=seen.unreadable,
        finished=not seen.problems,
        why_unfinished="; ".join(seen.problems),
    )


def _as_archived(settings: Settings, request: CatchUp, effects: Effects) -> tuple[Settings, CatchUp]:
    """The same accounts by the archive's labels, which are the running service's too: the configuration may call them
    otherwise until it is started anew, and none must be left out."""
    with existing_archive(settings, effects) as archive:
        archived = {entry.identity: entry.label for entry in archive.accounts.entries()}
    names = {label: archived.get(identity, label) for identity, label in settings.labels.items()}
    if len(set(names.values())) < len(names):
        raise UsageError(
            "a label is one account's in the archive and another's in the configuration; see accounts list"
        )
    accounts = {names[label]: account for label, account in settings.accounts.items()}
    chosen = tuple(names[label] for label in request.accounts)
    return settings.model_copy(update={"accounts": accounts}), replace(request, accounts=chosen)


def _outcome(at_work: Station, ended: Ended, seconds: float) -> Outcome:
    ids = at_work.account_ids  # somebody may have renamed one meanwhile
    labels = [entry.label for entry in at_work.archive.accounts.entries() if entry.id in ids]
    refused = at_work.engine.gate.refused
    tally = at_work.engine.tally
    return Outcome(
        counts=tuple(count_of(standing) for standing in at_work.archive.catalogue.standings(labels)),
        documents=tally.documents,
        files=tally.files,
        bytes=tally.bytes,
        seconds=seconds,
        refused_accounts=tuple(account.label for account in at_work.accounts if account.id in refused),
        unreadable=ended.unreadable,
        storage_failure=at_work.engine.storage_failure,
        bugs=ended.bugs,
        finished=not ended.why_unfinished,
        why_unfinished=ended.why_unfinished,
    )
