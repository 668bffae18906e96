"""The events of the log and of the archive's journal: their names, their levels and what they mean.

Users search for the names: a name never changes. `python docs/draw_events.py` writes this table into docs/logs.md.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""The levels of the log, as the standard library numbers them."""


class EventName(StrEnum):
    """One event: its name, where it is written, and what it means.

    It is written to the log at the first level, or at another level of the list if the caller names it; to the
    archive's journal if the list has `journal`.
    """

    levels: tuple[str, ...]
    in_journal: bool
    meaning: str

    def __new__(cls, name: str, written: str = "", meaning: str = "") -> Self:
        """Make a member from its line below."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.levels = tuple(level for level in LEVELS if level in written)
        member.in_journal = "journal" in written
        member.meaning = meaning
        return member

    @property
    def level(self) -> str:
        """The usual level."""
        return self.levels[0]

    SERVICE_STARTED = "service.started", "info", "the archive is open and the engine runs"
    SERVICE_STOPPING = "service.stopping", "info", "the service stops; the next start resumes its work"
    SERVICE_TROUBLED = "service.troubled", "error", "the database did not answer the service's main loop"
    DATABASE_AWAITED = "database.awaited", "warning", "the database server did not answer when the program started"
    THREAD_HUNG = "thread.hung", "critical", "a thread has not moved for far too long"
    HANG_AWAITED = "hang.awaited", "warning", "a test of the watchdog was requested"
    SETTINGS_RELOADED = (
        "settings.reloaded",
        "info, warning",
        "the configuration was read again; warning if a change needs a restart",
    )
    SETTINGS_REFUSED = "settings.refused", "error", "the configuration was read again and is wrong; the old one stays"
    SETTINGS_UNREADABLE = "settings.unreadable", "warning", "the configuration could not be read to find a new secret"
    SECRET_CHANGED = "secret.changed", "info", "an account's new login is in use"
    HTTP_LISTENING = "http.listening", "info", "health and metrics are served"
    HTTP_UNAVAILABLE = (
        "http.unavailable",
        "warning",
        "the default address is in use: the service runs without health and metrics",
    )
    HTTP_FAILED = "http.failed", "error", "health and metrics are no longer served; the sync continues"
    BUG_MET = "bug.met", "debug", "an unexpected error, with its traceback"
    LIBRARY_WARNED = "library.warned", "warning, error, critical", "a library logged a message"

    CYCLE_ENDED = "cycle.ended", "info, warning", "an account was listed; warning if not completely"
    CYCLE_FAILED = "cycle.failed", "error", "a cycle failed, usually because of the database"
    CYCLE_OVERLAPPED = "cycle.overlapped", "warning", "a cycle was due while the account's last one still ran"
    CYCLE_ELSEWHERE = "cycle.elsewhere", "debug", "another instance lists this account"
    CYCLE_SCHEDULED = "cycle.scheduled", "debug", "the time of the account's next cycle"
    LIST_FAILED = "list.failed", "warning", "the service did not list; it is asked again after growing pauses"
    WINDOW_TRUNCATED = "window.truncated", "warning", "one second holds more documents than a list may"
    WINDOW_UNLISTABLE = "window.unlistable", "error", "the service does not list this window; the rest was listed"
    ELEMENT_UNREADABLE = "element.unreadable", "error", "list elements have no id; each may be an invoice"
    DOCUMENTS_WITHDRAWN = "documents.withdrawn", "warning", "a complete listing no longer has these documents"
    CLOCK_JUMPED = "clock.jumped", "warning", "the machine's clock was set, or the machine slept"
    CLOCK_SET_BACK = "clock.set_back", "warning", "the clock was set back: waits that now end far ahead end at once"
    SCHEDULE_STALLED = "schedule.stalled", "error", "a scheduled cycle did not start; it was started now"
    SCHEDULE_TROUBLED = "schedule.troubled", "warning", "the scheduler reports an error or a missed run"

    CREDENTIALS_REFUSED = (
        "credentials.refused",
        "error",
        "the login was refused; the account pauses, the others continue",
    )
    ACCOUNT_ADDED = "account.added", "journal", "the archive knows a new account"
    ACCOUNT_RENAMED = "account.renamed", "journal", "an account has a new name"
    ACCOUNT_MOVED = "account.moved", "journal", "an account has a new address or user name"
    ACCOUNT_PAUSED = "account.paused", "error, journal", "the account pauses: the service refuses every document"
    ACCOUNT_UNREACHABLE = (
        "account.unreachable",
        "error",
        "no connection for a quarter of an hour; the account pauses, the others continue",
    )
    ACCOUNT_REACHABLE = (
        "account.reachable",
        "info",
        "an account was listed again; the pauses of all unreachable accounts end",
    )
    CALL_ENDED = "call.ended", "debug", "one call to the service ended"

    BATCH_RESERVED = "batch.reserved", "debug, journal", "a job was reserved for the batch"
    BATCH_FETCHED = "batch.fetched", "debug, journal", "the parcel was fetched"
    BATCH_STORED = "batch.stored", "debug, journal", "the parcel's files were stored and committed"
    BATCH_ACKNOWLEDGED = "batch.acknowledged", "debug, journal", "read back and acknowledged"
    BATCH_ACKNOWLEDGED_AGAIN = (
        "batch.acknowledged_again",
        "debug, journal",
        "listed as new although acknowledged: acknowledged again",
    )
    BATCH_UNAVAILABLE = "batch.unavailable", "warning", "no answer, or not the service's answer; tried again"
    BATCH_STORAGE_FAILED = "batch.storage_failed", "warning", "the disk refused a write; tried again"
    BATCH_LOST = "batch.lost", "warning, journal", "the job was lost or its parcel incomplete: to be reserved again"
    BATCH_REFUSED = (
        "batch.refused",
        "warning, journal",
        "the service refused the acknowledgement; it is tried again daily",
    )
    BATCH_RETRIED = "batch.retried", "journal", "an operator retried the acknowledgement"
    BATCH_SINGLED_OUT = (
        "batch.singled_out",
        "warning, journal",
        "the service fails whenever this document is acknowledged; it is tried again daily",
    )
    BATCH_SPLIT = "batch.split", "warning, journal", "the batch was split to find the document at fault"
    BATCH_ABANDONED = "batch.abandoned", "warning, journal", "the batch was abandoned"
    BATCH_FENCED = "batch.fenced", "warning", "another instance holds the batch; this result was dropped"
    BATCH_CRASHED = "batch.crashed", "critical", "a bug stopped this batch; it is tried later, the others continue"
    PARCEL_GONE = "parcel.gone", "warning, journal", "the parcel was missing from the spool: to be fetched again"
    PARCEL_STRANGERS_IGNORED = "parcel.strangers_ignored", "warning", "files of documents that were not requested"
    PARCEL_ENTRIES_UNINDEXED = (
        "parcel.entries_unindexed",
        "warning",
        "files that the parcel's index does not name; kept in `inspection/`",
    )
    PARCEL_NAMES_COLLIDED = (
        "parcel.names_collided",
        "warning",
        "several files have the same name; their documents are fetched separately",
    )
    PARCEL_DOCUMENTS_REFUSED = (
        "parcel.documents_refused",
        "warning",
        "files that cannot be trusted (a wrong checksum, a zip bomb); kept in `inspection/`",
    )

    DOCUMENT_DISCOVERED = "document.discovered", "journal", "listed by the service for the first time"
    DOCUMENT_BATCHED = "document.batched", "journal", "put into a batch"
    DOCUMENT_STORED = "document.stored", "journal", "its files were stored"
    DOCUMENT_STORED_AGAIN = "document.stored_again", "journal", "its files were stored again"
    DOCUMENT_ACKNOWLEDGED = "document.acknowledged", "journal", "acknowledged"
    DOCUMENT_OVERTAKEN = (
        "document.overtaken",
        "journal",
        "a newer version is listed: to be fetched before it is acknowledged",
    )
    DOCUMENT_ASKED_AGAIN = (
        "document.asked_again",
        "journal",
        "requested file types are missing: to be requested again",
    )
    DOCUMENT_SET_APART = (
        "document.set_apart",
        "journal",
        "another document of its parcel had the same file name: to be fetched alone",
    )
    DOCUMENT_FAILED = "document.failed", "journal", "the attempt failed"
    DOCUMENT_QUARANTINED = "document.quarantined", "journal", "the last attempt failed: moved to quarantine"
    DOCUMENT_RECALLED = (
        "document.recalled",
        "journal",
        "its batch was recalled because the account paused: to be fetched again",
    )
    DOCUMENT_PARDONED = (
        "document.pardoned",
        "journal",
        "its failed attempt does not count: the account has lost its permission",
    )
    DOCUMENT_DAMAGED = (
        "document.damaged",
        "journal",
        "its stored files could not be read back: to be fetched again",
    )
    DOCUMENT_REFUSED = "document.refused", "journal", "the service refused the acknowledgement"
    DOCUMENT_CHANGED = "document.changed", "journal", "the service listed it with other fields: to be fetched again"
    DOCUMENT_BYTES_CHANGED = (
        "document.bytes_changed",
        "journal",
        "fetched with other bytes than before: both versions are kept",
    )
    DOCUMENT_RELISTED = (
        "document.relisted",
        "journal",
        "listed as new although acknowledged: to be acknowledged again",
    )
    DOCUMENT_REFETCHED = "document.refetched", "journal", "listed as new although acknowledged: to be fetched again"
    DOCUMENT_WITHDRAWN = "document.withdrawn", "journal", "the service no longer lists it"
    DOCUMENT_RETURNED = "document.returned", "journal", "listed again after the service had withdrawn it"
    DOCUMENT_ROTTEN = "document.rotten", "journal", "its stored bytes are damaged: to be fetched again"
    DOCUMENT_BARE = "document.bare", "journal", "it had no file: to be fetched again"
    DOCUMENT_RETRIED = "document.retried", "journal", "an operator retried it"
    DOCUMENT_ACCEPTED = "document.accepted", "journal", "an operator accepted it as it is"
    DOCUMENT_HELD = "document.held", "journal", "held, because an operator cleared its phase"
    DOCUMENT_RELEASED = "document.released", "journal", "no longer held, because an operator set its phase"
    PHASE_SET = "phase.set", "journal", "an operator set its phase"
    PHASE_CLEARED = "phase.cleared", "journal", "an operator cleared its phase"

    ENGINE_TROUBLED = "engine.troubled", "warning, error", "the database or the disk failed; tried again"
    STORAGE_FAILED = "storage.failed", "error", "the disk is full, nearly full, or refuses writes"
    FILE_ROTTEN = "file.rotten", "error", "`scrub` found damaged bytes; they are fetched again"
    STORAGE_GONE = "storage.gone", "error", "`scrub` found almost no files: the wrong folder is mounted, or none"

    ALARM_BEGAN = "alarm.began", "warning", "an alarm began; the channels were told"
    ALARM_GREW = "alarm.grew", "warning", "an alarm became worse; the channels were told"
    ALARM_ENDED = "alarm.ended", "info", "an alarm ended; the channels were told"
    ALERT_SENT = "alert.sent", "info", "a channel accepted a message"
    ALERT_FAILED = "alert.failed", "warning", "a channel failed; tried again"
    ALERT_REFUSED = "alert.refused", "error", "a channel did not accept a message after all attempts"
    ALERT_DROPPED = "alert.dropped", "error", "too many messages wait for a channel; this one is not sent"
    HEARTBEAT_FAILED = "heartbeat.failed", "warning", "the dead-man monitor was not reached"
    WATCH_TROUBLED = "watch.troubled", "warning", "the alarm conditions could not be read; tried again"
    WATCH_CRASHED = "watch.crashed", "critical", "a bug in the alarm watch; the sync continues"


def meaning_of(name: str) -> str:
    """What an event means; a name that this version does not know stands for itself."""
    known = {event.value: event.meaning for event in EventName}
    return str(known.get(name, name))
