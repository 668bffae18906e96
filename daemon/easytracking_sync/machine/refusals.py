"""Is it the document that is refused, or has the account lost its permission? Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from easytracking_sync.events import EventName
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Batch, PauseReason, PauseStatus, Purpose
from easytracking_sync.transition import AccountMove


@dataclass(frozen=True, slots=True)
class Counted:
    """What the refusal of a single document means: the account's change, and whether it counts as an attempt.

    `pauses` is set where this refusal is the one that makes the account pause.
    """

    account: AccountMove | None
    counts: bool
    pauses: bool = False


def count_refusal(
    account: PauseStatus, refused: Batch, now: datetime, policy: Policy, *, kin_accepted: bool
) -> Counted:
    """Fresh documents refused one after the other, with no success between, mean that the permission is gone.

    A refusal tells nothing of the account where another part of the batch that this one was split from went through
    (`kin_accepted`), nor where the document failed before.
    """
    if account.refused_in_row >= policy.refusals_to_pause:
        return Counted(_pause(account, now, policy, "every document is refused"), counts=False, pauses=True)
    if kin_accepted or refused.purpose is not Purpose.FRESH:
        return Counted(None, counts=True)
    in_row = account.refused_in_row + 1
    counted = replace(account, refused_in_row=in_row, refused_since=account.refused_since or now)
    if in_row < policy.refusals_to_pause:
        return Counted(AccountMove(account, counted), counts=True)
    pause = _pause(counted, now, policy, f"{in_row} documents in a row were refused")
    return Counted(replace(pause, before=account), counts=False, pauses=True)


def forget_refusals(account: PauseStatus) -> AccountMove | None:
    """A reservation went through: whatever was refused before was the documents' own fault."""
    if not account.refused_in_row:
        return None
    return AccountMove(account, replace(resumed(account).after, refused_in_row=0, refused_since=None))


def pause_slowly(
    account: PauseStatus, reason: PauseReason, message: str, now: datetime, policy: Policy
) -> AccountMove:
    """Pause by the next of the slow pauses; the last one stays until the account is resumed."""
    seconds = policy.slow_pauses[min(account.slow_pauses, len(policy.slow_pauses) - 1)]
    slower = replace(account, slow_pauses=account.slow_pauses + 1)
    return replace(_paused(slower, reason, now + timedelta(seconds=seconds), message), before=account)


def resumed(account: PauseStatus) -> AccountMove:
    """The account's pause is over."""
    after = replace(account, pause_reason=None, paused_until=None, pause_message=None, slow_pauses=0)
    return AccountMove(account, after)


def _pause(account: PauseStatus, now: datetime, policy: Policy, message: str) -> AccountMove:
    until = now + timedelta(seconds=policy.permission_pause_seconds)
    return _paused(account, PauseReason.PERMISSION, until, message)


def _paused(account: PauseStatus, reason: PauseReason, until: datetime, message: str) -> AccountMove:
    after = replace(account, pause_reason=reason, paused_until=until, pause_message=message)
    detail = {"reason": reason.value, "until": until.isoformat(), "message": message}
    return AccountMove(account, after, EventName.ACCOUNT_PAUSED, detail)
