"""What a configuration that was read again changes while the service runs, and what waits for a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from easytracking_sync.settings import Account, Settings

AT_ONCE = frozenset({"sync.every", "sync.cron"})
"""Keys beside those of accounts that need no restart."""


@dataclass(frozen=True, slots=True)
class Change:
    """From one configuration to the next, as far as a running service can follow."""

    settings: Settings  # what is in force from now on: the old one, with what needs no restart
    accounts: tuple[str, ...]  # those that log in or fetch in another way
    schedules: tuple[str, ...]  # those that are due at other times
    restart: tuple[str, ...]  # keys and accounts whose change waits for a restart


def change(old: Settings, new: Settings) -> Change:
    """What follows from reading `new` where `old` is in force. Pure; a secret's value does not leave it."""
    stay = [label for label in old.accounts if _is_same_account(old, new, label)]
    accounts = {**old.accounts, **{label: new.accounts[label] for label in stay}}
    sync = old.sync.model_copy(update={"every": new.sync.every, "cron": new.sync.cron})
    settings = old.model_copy(update={"accounts": accounts, "sync": sync})
    return Change(
        settings=settings,
        accounts=tuple(label for label in stay if _at_work(old, label) != _at_work(new, label)),
        schedules=tuple(label for label in old.accounts if settings.schedule(label) != old.schedule(label)),
        restart=(
            *(key for key in _changed(old, new) if key not in AT_ONCE),
            *(f"accounts.{label}" for label in {**old.accounts, **new.accounts} if label not in stay),
        ),
    )


def _is_same_account(old: Settings, new: Settings, label: str) -> bool:
    """A label that means another login is another account: its documents' ids would collide."""
    return label in new.accounts and new.accounts[label].identity == old.accounts[label].identity


def _at_work(settings: Settings, label: str) -> Account:
    """An account without its rhythm."""
    return settings.accounts[label].model_copy(update={"every": None, "cron": ""})


def _changed(old: BaseModel, new: BaseModel, above: str = "") -> Iterator[str]:
    """The dotted keys, but for those of accounts, whose values differ."""
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if name == "accounts" or before == after:
            continue
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from _changed(before, after, f"{above}{name}.")
        else:
            yield f"{above}{name}"
