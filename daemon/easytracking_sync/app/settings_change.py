"""What a reloaded configuration changes while the service runs, and what needs a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from easytracking_sync.settings import AccountSettings, Settings

NEED_NO_RESTART = frozenset({"sync.every", "sync.cron"})
"""Keys outside the accounts that need no restart."""


@dataclass(frozen=True, slots=True)
class SettingsChange:
    """The difference between two configurations, as far as a running service can apply it."""

    settings: Settings  # the old settings with the changes that need no restart
    accounts: tuple[str, ...]  # labels whose login or account settings changed
    schedules: tuple[str, ...]  # labels whose schedule changed
    restart: tuple[str, ...]  # changed keys and accounts that need a restart


def compare_settings(old: Settings, new: Settings) -> SettingsChange:
    """What changes when `new` is loaded while `old` is in use. Pure; the result names keys, never values."""
    stay = [label for label in old.accounts if _is_same_account(old, new, label)]
    accounts = {**old.accounts, **{label: new.accounts[label] for label in stay}}
    sync = old.sync.model_copy(update={"every": new.sync.every, "cron": new.sync.cron})
    settings = old.model_copy(update={"accounts": accounts, "sync": sync})
    return SettingsChange(
        settings=settings,
        accounts=tuple(label for label in stay if _without_schedule(old, label) != _without_schedule(new, label)),
        schedules=tuple(label for label in old.accounts if settings.schedule(label) != old.schedule(label)),
        restart=(
            *(key for key in _changed(old, new) if key not in NEED_NO_RESTART),
            *(f"accounts.{label}" for label in {**old.accounts, **new.accounts} if label not in stay),
        ),
    )


def _is_same_account(old: Settings, new: Settings, label: str) -> bool:
    """A label with another login is another account: document ids would collide."""
    return label in new.accounts and new.accounts[label].identity == old.accounts[label].identity


def _without_schedule(settings: Settings, label: str) -> AccountSettings:
    return settings.accounts[label].model_copy(update={"every": None, "cron": ""})


def _changed(old: BaseModel, new: BaseModel, above: str = "") -> Iterator[str]:
    """The dotted keys outside the accounts whose values differ."""
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if name == "accounts" or before == after:
            continue
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from _changed(before, after, f"{above}{name}.")
        else:
            yield f"{above}{name}"
