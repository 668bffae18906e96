"""A catch-up that the running service does: the command's side of a handover. The service's is `handover.Desk`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from easytracking_sync.app.catch_up.handover import KIND, Handed
from easytracking_sync.app.catch_up.outcome import CatchUp, Outcome, Progress, count_of
from easytracking_sync.app.composition import chosen_accounts, existing_archive
from easytracking_sync.archive.entries import Standing
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.settings import Settings
from easytracking_sync.terms import DocumentState, PauseReason

LOOK_SECONDS = 0.5
WAIT_SECONDS = 5.0
"""After so long it is worth finding out whether the service is still there."""


class HandedWork:
    """One request to the running service. `wait` may be called again and again; it asks once."""

    def __init__(self, settings: Settings, request: CatchUp, effects: Effects, progress: Progress | None) -> None:
        self._settings = settings
        self._request = request
        self._clock = effects.clock
        self._effects = effects
        self._progress = progress
        self._begun = effects.clock.monotonic()
        self._asked_at: datetime | None = None
        self._number = 0
        self._home_before = 0

    def wait(self) -> Outcome | None:
        """Show for some seconds how far the service is; the outcome if it ended, or if the deadline passed."""
        labels = chosen_accounts(self._settings, self._request.accounts)
        never = threading.Event()
        with existing_archive(self._settings, self._effects) as archive:
            if self._asked_at is None:
                self._ask(archive, labels)
            until = self._clock.monotonic() + WAIT_SECONDS
            while self._clock.monotonic() < until:
                told = archive.requests.find(self._number).outcome
                if told is None and self._is_late():
                    told = {"why_unfinished": "the deadline passed; the service goes on"}
                if told is not None:
                    return self._outcome(archive, labels, told)
                self._show(archive, labels)
                self._clock.wait(never, LOOK_SECONDS)
        return None

    def _ask(self, archive: Archive, labels: tuple[str, ...]) -> None:
        request = self._request
        wanted = Handed(request.accounts, request.start, request.end, request.new_only)
        self._asked_at = self._clock.now()
        self._home_before = sum(map(_home, archive.catalogue.standings(labels)))
        self._number = archive.requests.ask(KIND, wanted.parameters(), self._asked_at)

    def _is_late(self) -> bool:
        seconds = self._request.deadline_seconds
        return seconds is not None and self._clock.monotonic() - self._begun >= seconds

    def _show(self, archive: Archive, labels: tuple[str, ...]) -> None:
        if self._progress is None:
            return
        standings = archive.catalogue.standings(labels)
        archived = sum(map(_home, standings)) - self._home_before
        waiting = sum(count_of(standing).waiting for standing in standings)
        doing = "the running service is at it"
        self._progress.show(listed=archived + waiting, archived=archived, waiting=waiting, doing=doing)

    def _outcome(self, archive: Archive, labels: tuple[str, ...], told: Mapping[str, Any]) -> Outcome:
        assert self._asked_at is not None
        stored = archive.catalogue.stored_since(labels, self._asked_at)
        standings = archive.catalogue.standings(labels)
        why = str(told.get("why_unfinished", ""))
        return Outcome(
            counts=tuple(count_of(standing) for standing in standings),
            documents=stored.documents,
            files=stored.files,
            bytes=stored.bytes,
            seconds=self._clock.monotonic() - self._begun,
            refused_accounts=tuple(s.account for s in standings if s.pause_reason is PauseReason.CREDENTIALS),
            unreadable=int(told.get("unreadable", 0)),
            storage_failure=told.get("storage_failure"),
            finished=not why,
            why_unfinished=why,
        )


def _home(standing: Standing) -> int:
    return standing.count(DocumentState.STORED, DocumentState.ACKNOWLEDGED)
