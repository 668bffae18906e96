"""The accounts of the archive and of the configuration: list, find and rename them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from easytracking_sync.archive.accounts import AccountEntry
from easytracking_sync.archive.opening import Archive
from easytracking_sync.errors import UsageError
from easytracking_sync.settings import Settings


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account as the archive and the configuration know it."""

    label: str  # the archive's; the configuration's if the archive does not know the account
    base_url: str
    username: str
    documents: int = 0
    last_success_at: datetime | None = None
    configured_as: str | None = None  # its label in the configuration; None if it is not configured
    label_is_taken: bool = False  # the configuration gives this label to another account


def list_accounts(archive: Archive, settings: Settings) -> tuple[AccountSummary, ...]:
    """Every account, in alphabetical order of the labels."""
    entries = archive.accounts.entries()
    overviews = {overview.identity: overview for overview in archive.account_statuses.overviews()}
    known = [
        AccountSummary(
            entry.label,
            *entry.identity,
            documents=sum(overviews[entry.identity].by_state.values()),
            last_success_at=overviews[entry.identity].last_success_at,
            configured_as=settings.labels.get(entry.identity),
            label_is_taken=entry.label in settings.accounts
            and settings.accounts[entry.label].identity != entry.identity,
        )
        for entry in entries
        if entry.identity in overviews
    ]
    new = [
        AccountSummary(label, *identity, configured_as=label)
        for identity, label in settings.labels.items()
        if identity not in {entry.identity for entry in entries}
    ]
    return tuple(sorted([*known, *new], key=lambda account: account.label))


def rename_account(archive: Archive, settings: Settings, old: str, new: str, now: datetime) -> None:
    """Give an account of the archive its new label from the configuration. Its documents are not affected.

    UsageError if `old` is unknown, `new` is another account's, or the configuration still has `old`: the next start
    would restore the old label, and until then commands and service would differ.
    """
    entries = {entry.label: entry for entry in archive.accounts.entries()}
    if old not in entries:
        raise UsageError(f"the archive has no account {old}; it has {', '.join(sorted(entries)) or 'none'}")
    if old == new:
        raise UsageError(f"the account is already called {old}")
    taken = settings.accounts.get(new)
    if taken is not None and taken.identity != entries[old].identity:
        raise UsageError(f"{new} is another account in the configuration; labels must be unique")
    if new not in entries:
        _require_configured_as(settings, entries[old], old, new)
    archive.accounts.rename(old, new, now)


def move_account(archive: Archive, settings: Settings, label: str, now: datetime) -> tuple[str, str]:
    """Give an account of the archive its new address and user name from the configuration; returns both.

    Its documents and its history stay. UsageError if the archive or the configuration does not know the label, if
    nothing has changed, or if another account of the archive has the new identity.
    """
    former = next((entry.identity for entry in archive.accounts.entries() if entry.label == label), None)
    configured = settings.accounts.get(label)
    if configured is None:
        raise UsageError(f"the configuration has no account {label}; change its address or user name there first")
    if former == configured.identity:
        raise UsageError(
            f"{label} is {former[1]} at {former[0]} in the archive and in the configuration; change the address or "
            "the user name in the configuration first"
        )
    archive.accounts.move(label, *configured.identity, now)
    return configured.identity


def known_accounts(settings: Settings, archive: Archive, chosen: Collection[str]) -> tuple[str, ...]:
    """The chosen labels in lower case; UsageError for a label that neither configuration nor archive has."""
    known = sorted({*settings.accounts, *(entry.label for entry in archive.accounts.entries())})
    labels = tuple(label.lower() for label in chosen)
    for label in labels:
        if label not in known:
            raise UsageError(f"unknown account {label!a}; known accounts: {', '.join(known) or 'none'}")
    return labels


def account_ids_of(settings: Settings, archive: Archive, chosen: Collection[str]) -> tuple[int, ...] | None:
    """The archive's ids of the chosen labels; None, which means all, if none is chosen. UsageError as above."""
    if not chosen:
        return None
    labels = known_accounts(settings, archive, chosen)
    wanted = {settings.accounts[label].identity for label in labels if label in settings.accounts}
    return tuple(
        entry.id for entry in archive.accounts.entries() if entry.label in labels or entry.identity in wanted
    )


def _require_configured_as(settings: Settings, entry: AccountEntry, old: str, new: str) -> None:
    label = settings.labels.get(entry.identity)
    if label is None or label == new:
        return
    if label != old:
        raise UsageError(
            f"the configuration calls {old} {label}; rename it to that, or change the configuration first"
        )
    sources = {source for key, source in settings.sources.items() if key.startswith(f"accounts.{old}.")}
    named = sorted(source for source in sources if source.startswith(("environment ", "credential ")))
    also = f", and what is named after it ({', '.join(named)})" if named else ""
    raise UsageError(
        f"the configuration still calls it {old}: rename its table [accounts.{old}] to [accounts.{new}]{also}, "
        f"then run `easytracking-sync accounts rename {old} {new}` again and restart a running service"
    )
