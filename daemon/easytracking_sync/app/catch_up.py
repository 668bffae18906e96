"""The one-shot: resume what was left, list the whole history, drain to the end, and say how it went."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Protocol

import httpx

from easytracking_sync.app import preview
from easytracking_sync.app.drain import Drain, Ended
from easytracking_sync.app.handover import KIND, Handed
from easytracking_sync.app.span import span_of
from easytracking_sync.app.station import RUNNING_SERVICE, Station, chosen_accounts, existing_archive, station
from easytracking_sync.archive.entries import Standing
from easytracking_sync.archive.store import is_held
from easytracking_sync.effects import Effects
from easytracking_sync.errors import LockHeld
from easytracking_sync.machine.observer import Observer, Silent
from easytracking_sync.settings import Settings
from easytracking_sync.terms import DocumentState, PauseReason

WATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What a one-shot was asked for."""

    accounts: tuple[str, ...] = ()  # labels; none means all
    start: date | None = None  # reception days, both included
    end: date | None = None
    new_only: bool = False  # only what nobody marked
    dry_run: bool = False  # list and count, change nothing anywhere
    deadline_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class AccountCount:
    """Where an account's documents stand."""

    label: str
    waiting: int = 0  # discovered or on their way
    stored: int = 0  # committed, to be acknowledged
    acknowledged: int = 0
    quarantined: int = 0
    unacknowledgeable: int = 0
    incomplete: int = 0
    withdrawn: int = 0
    accepted: int = 0
    paused: str | None = None  # why, for a person


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a one-shot ended; the exit code follows from it alone."""

    counts: tuple[AccountCount, ...] = ()
    documents: int = 0  # archived in this run
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    would_fetch: Mapping[str, int] = field(default_factory=dict)  # dry run: account → documents
    refused_accounts: tuple[str, ...] = ()  # credentials refused
    unreadable: int = 0  # list elements without an id
    storage_failure: str | None = None
    bugs: int = 0
    finished: bool = True  # every listing complete and nothing waiting
    why_unfinished: str = ""


class Progress(Protocol):
    """Told now and then, from one thread, how far a one-shot is."""

    def show(self, *, listed: int, archived: int, waiting: int, doing: str) -> None: ...


def catch_up(
    settings: Settings,
    request: CatchUp,
    *,
    effects: Effects | None = None,
    transport: httpx.BaseTransport | None = None,
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
        return _dry_run(settings, request, effects, transport, observer)
    begun = effects.clock.monotonic()
    while True:
        try:
            return _run(settings, request, effects, transport, progress, observer, begun)
        except LockHeld as held:
            if held.command != RUNNING_SERVICE:
                raise
        outcome = _hand_over(settings, request, effects, progress, begun)
        if outcome is not None:
            return outcome  # else the service has ended meanwhile: the work is ours


def _run(
    settings: Settings,
    request: CatchUp,
    effects: Effects,
    transport: httpx.BaseTransport | None,
    progress: Progress | None,
    observer: Observer,
    begun: float,
) -> Outcome:
    with station(
        settings, request.accounts, observer, effects=effects, doing="catch-up", transport=transport
    ) as at_work:
        at_work.archive.accounts.resume(at_work.account_ids)  # a person asks: try at once
        spans = {
            account.id: span_of(account, effects.clock.now(), request.start, request.end, new_only=request.new_only)
            for account in at_work.accounts
        }
        drain = Drain(at_work, spans, effects, observer, workers=settings.sync.workers)
        ended = drain.run(request.deadline_seconds, progress)
        return _outcome(at_work, ended, effects.clock.monotonic() - begun)


def _hand_over(
    settings: Settings, request: CatchUp, effects: Effects, progress: Progress | None, begun: float
) -> Outcome | None:
    """Let the running service do it, and show how far it is; None where the service ended before the work did."""
    clock = effects.clock
    labels = chosen_accounts(settings, request.accounts)
    handed = Handed(request.accounts, request.start, request.end, request.new_only)
    with existing_archive(settings, effects) as archive:
        asked_at = clock.now()
        before = sum(_home(standing) for standing in archive.catalogue.standings(labels))
        number = archive.requests.ask(KIND, handed.parameters(), asked_at)
        never = threading.Event()
        while (found := archive.requests.find(number)).outcome is None:
            clock.wait(never, WATCH_SECONDS)
            standings = archive.catalogue.standings(labels)
            archived = sum(_home(standing) for standing in standings) - before
            waiting = sum(_count(standing).waiting for standing in standings)
            if progress is not None:
                doing = "the running service is at it"
                progress.show(listed=archived + waiting, archived=archived, waiting=waiting, doing=doing)
            if request.deadline_seconds is not None and clock.monotonic() - begun >= request.deadline_seconds:
                found = replace(found, outcome={"why_unfinished": "the deadline passed; the service goes on"})
                break
            if not is_held(archive.database):
                archive.requests.end(number, {"why_unfinished": "the service ended"}, clock.now())
                return None
        stored = archive.catalogue.stored_since(labels, asked_at)
        told = found.outcome or {}
        standings = archive.catalogue.standings(labels)
        return Outcome(
            counts=tuple(_count(standing) for standing in standings),
            documents=stored.documents,
            files=stored.files,
            bytes=stored.bytes,
            seconds=clock.monotonic() - begun,
            refused_accounts=tuple(s.account for s in standings if s.pause_reason is PauseReason.CREDENTIALS),
            unreadable=int(told.get("unreadable", 0)),
            finished=not told.get("why_unfinished"),
            why_unfinished=str(told.get("why_unfinished", "")),
        )


def _dry_run(
    settings: Settings,
    request: CatchUp,
    effects: Effects,
    transport: httpx.BaseTransport | None,
    observer: Observer,
) -> Outcome:
    begun = effects.clock.monotonic()
    seen = preview.look(
        settings,
        request.accounts,
        request.start,
        request.end,
        new_only=request.new_only,
        deadline_seconds=request.deadline_seconds,
        effects=effects,
        transport=transport,
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


def _outcome(at_work: Station, ended: Ended, seconds: float) -> Outcome:
    labels = [account.label for account in at_work.accounts]
    refused = at_work.engine.gate.refused
    tally = at_work.engine.tally
    return Outcome(
        counts=tuple(_count(standing) for standing in at_work.archive.catalogue.standings(labels)),
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


def _home(standing: Standing) -> int:
    return standing.count(DocumentState.STORED, DocumentState.ACKNOWLEDGED)


def _count(standing: Standing) -> AccountCount:
    stored = standing.count(DocumentState.STORED) - standing.unacknowledgeable
    return AccountCount(
        label=standing.account,
        waiting=standing.count(DocumentState.DISCOVERED, DocumentState.BATCHED) + stored,
        stored=stored,
        acknowledged=standing.count(DocumentState.ACKNOWLEDGED),
        quarantined=standing.count(DocumentState.QUARANTINED),
        unacknowledgeable=standing.unacknowledgeable,
        incomplete=standing.incomplete,
        withdrawn=standing.count(DocumentState.WITHDRAWN),
        accepted=standing.count(DocumentState.ACCEPTED),
        paused=standing.pause_message,
    )
