"""Errors, sorted by what the caller must do: wait, give up on one thing, or stop.

Every package translates the errors of its libraries into these. A message names the account, the batch or the call,
and what to do next; it never contains a secret or a document's content.
"""

from __future__ import annotations


class SyncError(Exception):
    """The base of all errors that this program raises; its text is one line for a person."""


class Transient(SyncError):
    """Wait and try again; `retry_after` is the pause in seconds that the other side requested, if any."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServiceUnavailable(Transient):
    """The service did not answer, answered in part, or the answer was not its own (an HTML page)."""


class CallFailed(ServiceUnavailable):
    """The service broke down over one call (500, 502, 504) or broke it off: what was asked for may be the cause."""


class Unreachable(ServiceUnavailable):
    """No connection to the service: wrong name, address or certificate, or no network."""


class DatabaseUnavailable(Transient):
    """The database is locked, down or restarting. Nothing was changed, or reading shows what was."""


class StorageFault(Transient):
    """The disk is full or refused a write. The write was abandoned; stored data is intact."""


class SinkUnavailable(Transient):
    """The receiving system did not take or show a file now; no file is visible there in part. Deliver later."""


class Permanent(SyncError):
    """Give up on one thing (a batch, a parcel, an account); the others continue."""


class Refused(Permanent):
    """The service refused: 400 with a message, or 403 (an id is unknown or not permitted).

    `reply` is the service's message, shortened and without secrets; empty if there is none.
    """

    def __init__(self, message: str, *, status: int, reply: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reply = reply


class TooLarge(Permanent):
    """413: the list would have more than 100000 elements; request a narrower window."""


class JobLost(Permanent):
    """The job can no longer be fetched (403, 404, 400, or an incomplete answer): reserve again."""


class ParcelBad(Permanent):
    """The zip is incomplete, not a zip, or hostile; none of its content is used."""


class SinkRefused(Permanent):
    """The receiving system does not take this delivery as it is; the message says what to change."""


class SinkGone(SinkRefused):
    """The receiving system wants no more deliveries (410): this concerns the sink, not one document."""


class CredentialsRefused(Permanent):
    """The login or a new token was refused. The account pauses, because repeated logins could lock it."""


class StaleLease(Permanent):
    """Another worker holds the batch now; this worker's result is dropped, and nothing was committed."""


class Outdated(Permanent):
    """The data that the decision was based on has changed; nothing was applied. Read again and decide again."""


class Fatal(SyncError):
    """Stop: continuing could lose data, or an operator must act first."""


class UsageError(Fatal):
    """The configuration or the command line is wrong; the message names the key or option and the correction."""


class LockHeld(Fatal):
    """Another instance uses this archive. The message names it; `command` is the command it runs."""

    def __init__(self, message: str, *, command: str = "") -> None:
        super().__init__(message)
        self.command = command


class StorageBroken(Fatal):
    """A write that was reported as durable was not (a failed fsync, a commit with unknown result)."""
