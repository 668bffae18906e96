"""What can go wrong, sorted by what the caller must do: wait, give up on this one thing, or stop.

Every room translates the errors of its own library into these once, at its own edge. A message names the
account, the batch or the call, and what to do next; it never holds a secret or a document's content.
"""

from __future__ import annotations


class SyncError(Exception):
    """The root of all that this program raises on purpose; its text is one plain line for a person."""


class Transient(SyncError):
    """Wait and do the same again; `retry_after` is the pause in seconds the other side asked for, if any."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServiceUnavailable(Transient):
    """The service did not answer, answered in part, or answered something that is not its own (an HTML page)."""


class CallFailed(ServiceUnavailable):
    """The service broke down over one call (500, 502, 504) or broke it off: what was asked for may be the cause."""


class Unreachable(ServiceUnavailable):
    """No connection to the service came about: its name, its address, its certificate, or our own line."""


class DatabaseUnavailable(Transient):
    """The database is locked, gone or restarting; nothing was changed, or what was changed is found by reading."""


class StorageFault(Transient):
    """The disk is full or refused a write; what was being written is abandoned, nothing durable is touched."""


class SinkUnavailable(Transient):
    """The receiving system did not take or show a file now; no file is visible there in part. Deliver later."""


class Permanent(SyncError):
    """Give up on this one thing (a batch, a parcel, an account); others go on."""


class Refused(Permanent):
    """The service said no: 400 with its message, or 403 (an id unknown or not permitted).

    `reply` is the service's own message, trimmed and without secrets; empty where it gave none.
    """

    def __init__(self, message: str, *, status: int, reply: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reply = reply


class TooLarge(Permanent):
    """413: the list would hold more than 100000 elements; ask for a narrower window."""


class JobLost(Permanent):
    """The job cannot be fetched any more (403, 404, 400, or its only answer was torn): reserve again."""


class ParcelBad(Permanent):
    """The zip is not whole, not a zip, or hostile; nothing in it is believed."""


class SinkRefused(Permanent):
    """The receiving system does not take this delivery as it is; the message says what to change."""


class CredentialsRefused(Permanent):
    """The login was refused, or a fresh token was: the account is paused, since hammering can lock it."""


class StaleLease(Permanent):
    """Another worker holds the batch by now: this one's result is dropped, nothing is committed."""


class Outdated(Permanent):
    """What was decided on has changed meanwhile, and nothing was changed: read again and decide again."""


class Fatal(SyncError):
    """Stop: going on could lose something or needs a person first."""


class UsageError(Fatal):
    """The configuration or the command line is wrong; the message names the key or option and the mend."""


class LockHeld(Fatal):
    """Another instance works on this archive; the message says which, `command` what it was started to do."""

    def __init__(self, message: str, *, command: str = "") -> None:
        super().__init__(message)
        self.command = command


class StorageBroken(Fatal):
    """A write that was promised durable was not (a failed fsync, an unresolvable commit)."""
