"""The documented exit codes, derived from an error or from the outcome of a catch-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easytracking_sync import errors

if TYPE_CHECKING:
    from easytracking_sync.app import CatchUpOutcome  # importing it at run time would delay `--help`

DONE = 0
BUG = 1
USAGE = 2
FINDINGS = 3
CREDENTIALS = 4
LOCKED = 5
STORAGE = 74
UNFINISHED = 75
INTERRUPTED = 130
TERMINATED = 143

ERROR_CODES: tuple[tuple[type[errors.SyncError], int], ...] = (
    (errors.UsageError, USAGE),
    (errors.CredentialsRefused, CREDENTIALS),
    (errors.LockHeld, LOCKED),
    (errors.StorageFault, STORAGE),
    (errors.StorageBroken, STORAGE),
    (errors.Transient, UNFINISHED),
    (errors.Permanent, FINDINGS),
    (errors.Fatal, BUG),
)
"""The first that matches counts."""

WORST_FIRST = (BUG, USAGE, CREDENTIALS, STORAGE, UNFINISHED, FINDINGS, DONE)


def code_of(error: errors.SyncError) -> int:
    """The exit code of an error that ends a command."""
    return code_of_kind(type(error))


def code_of_kind(error: type[errors.SyncError]) -> int:
    """The exit code of this kind of error."""
    return next((code for kind, code in ERROR_CODES if issubclass(error, kind)), BUG)


def worst(*codes: int) -> int:
    """The code that counts: the first of 1, 2, 4, 74, 75, 3, 0 among these."""
    return min(codes, key=WORST_FIRST.index, default=DONE)


def exit_code(outcome: CatchUpOutcome) -> int:
    """The exit code of a catch-up: the first that applies of 1, 2, 4, 74, 75, 3, 0."""
    open_findings = outcome.unreadable or any(
        count.quarantined or count.unacknowledgeable for count in outcome.counts
    )
    return worst(
        BUG if outcome.bugs else DONE,
        CREDENTIALS if outcome.refused_accounts else DONE,
        STORAGE if outcome.storage_failure else DONE,
        DONE if outcome.finished else UNFINISHED,
        FINDINGS if open_findings else DONE,
    )
