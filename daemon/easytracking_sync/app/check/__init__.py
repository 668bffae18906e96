"""Checks an installation: what is wrong with it, and how to repair it. Nothing is changed, here or at the service."""

from __future__ import annotations

from collections.abc import Iterator

from easytracking_sync.app.check.installation import Finding, check_installation
from easytracking_sync.app.check.network import check_accounts
from easytracking_sync.effects import Effects
from easytracking_sync.settings import Settings

__all__ = ["Finding", "run_checks"]


def run_checks(settings: Settings, effects: Effects, *, offline: bool = False) -> Iterator[Finding]:
    """Check configuration, folders, disks, database, alerts and every account; yields findings as they are made.

    Unless `offline`, it logs in once per account and asks for one list element.
    """
    yield from check_installation(settings, effects)
    if not offline:
        yield from check_accounts(settings, effects)
