"""The JSON objects that scripts read; their keys and their order are a contract."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from easytracking_sync.app.reconcile import Proof
from easytracking_sync.app.status import AccountStatus, Status
from easytracking_sync.archive.document_entries import DocumentEntry
from easytracking_sync.list_fields import LIST_FIELDS
from easytracking_sync.terms import DocumentState


def document_json(entry: DocumentEntry, zone: ZoneInfo) -> dict[str, Any]:
    """A document with its files; reception times get the offset of `zone`."""
    return {
        "account": entry.account,
        "doc_id": entry.doc_id,
        "state": entry.state.value,
        **{field.json: _shown(getattr(entry, field.name), zone) for field in LIST_FIELDS if field.json},
        "discovered_at": _instant(entry.discovered_at),
        "stored_at": _instant(entry.stored_at),
        "acknowledged_at": _instant(entry.acknowledged_at),
        "missing_types": list(entry.missing_types),
        "files": [
            {"type": part.type, "name": part.name, "size": part.size, "sha256": part.sha256} for part in entry.files
        ],
    }


def status_json(status: Status) -> dict[str, Any]:
    """The whole archive, with one object per account."""
    short = status.shortage
    return {
        "archive": status.archive,
        "shortage": None
        if short is None
        else {"folder": str(short.folder), "free_bytes": short.free_bytes, "needed_bytes": short.needed_bytes},
        "accounts": [_account_json(account) for account in status.accounts],
    }


def proof_json(proof: Proof) -> dict[str, Any]:
    """The result of comparing one account."""
    return {
        "account": proof.account,
        "holds": proof.holds,
        "complete": proof.is_complete,
        "listed": proof.listed,
        "home": proof.home,
        "accepted": proof.accepted,
        "missing": sorted(proof.missing),
        "unmarked": sorted(proof.unmarked),
        "not_listed": sorted(proof.unlisted),
        "files": proof.files,
        "bytes": proof.bytes,
        "rotten": [{"doc_id": one.doc_id, "type": one.type, "sha256": one.sha256} for one in proof.rotten],
        "unreadable": proof.unreadable,
        "problems": list(dict.fromkeys(proof.problems)),
        "credentials_refused": proof.credentials_refused,
    }


def _account_json(account: AccountStatus) -> dict[str, Any]:
    one = account.overview
    paused = None
    if one.paused_until is not None:
        reason = one.pause_reason.value if one.pause_reason else None
        paused = {"reason": reason, "until": _instant(one.paused_until), "message": one.pause_message}
    return {
        "account": one.account,
        "last_success_at": _instant(one.last_success_at),
        "documents": {state.value: one.count(state) for state in DocumentState},
        "oldest_waiting_at": _instant(one.oldest_waiting_at),
        "quarantined": one.count(DocumentState.QUARANTINED),
        "unacknowledgeable": one.unacknowledgeable,
        "incomplete": one.incomplete,
        "unreadable": one.unreadable,
        "gaps": [
            {
                "range": gap.window.kind.value,
                "from": gap.window.start.isoformat(),
                "to": gap.window.end.isoformat(),
                "marked": gap.marked,
                "reason": gap.reason,
            }
            for gap in one.gaps
        ],
        "paused": paused,
        "trouble": one.trouble,
        "next_run_at": _instant(account.next_run_at),
        "overdue": account.is_overdue,
        "next_attempt_at": _instant(one.next_attempt_at),
    }


def _shown(value: object, zone: ZoneInfo) -> object:
    if isinstance(value, datetime):
        return value.replace(tzinfo=zone).isoformat()
    return value.isoformat() if isinstance(value, date) else value


def _instant(at: datetime | None) -> str | None:
    """An instant as ISO 8601 in UTC, to the second."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
