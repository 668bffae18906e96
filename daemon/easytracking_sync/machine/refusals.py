"""Decides whether a refusal concerns the document or the account's permission. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from easytracking_sync.events import EventName
from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Batch, PauseReason, PauseStatus, Purpose
from easytracking_sync.transition import AccountMove


@dataclass(frozen=True, slots=True)
class RefusalDecision:
    """What the refusal of a single document means: the account's change, and whether it counts as an attempt.

    `pauses` tells that this refusal makes the account pause.
    """

    account: AccountMove | None
    counts: bool
    pauses: bool = False


def count_refusal(
    account: PauseStatus, refused: Batch, now: datetime, policy: Policy, *, sibling_accepted: bool
) -> RefusalDecision:
    """Fresh documents refused in a row, without a success in between, mean that the account lost its permission.

    A refusal says nothing about the account if another part of the original batch was accepted (`sibling_accepted`),
    or if the document failed before.
    """
    if account.refused_in_row >= policy.refusals_to_pause:
        return RefusalDecision(_pause(account, now, policy, "every document is refused"), counts=False, pauses=True)
    if sibling_accepted or refused.purpose is not Purpose.FRESH:
        return RefusalDecision(None, counts=True)
    in_row = account.refused_in_row + 1
    counted = replace(account, refused_in_row=in_row, refused_since=account.refused_since or now)
    if in_row < policy.refusals_to_pause:
        return RefusalDecision(AccountMove(account, counted), counts=True)
    pause = _pause(counted, now, policy, f"{in_row} documents in a row were refused")
    return RefusalDecision(replace(pause, before=account), counts=False, pauses=True)


def forget_refusals(account: PauseStatus) -> AccountMove | None:
    """A reservation was accepted, so earlier refusals concerned the documents."""
    if not account.refused_in_row:
        return None
    return AccountMove(account, replace(resumed(account).after, refused_in_row=0, refused_since=None))


def pause_slowly(
    account: PauseStatus, reason: PauseReason, message: str, now: datetime, policy: Policy
) -> AccountMove:
    """Pause for the next of `Policy.slow_pauses`; the last one repeats until the account is resumed."""
    seconds = policy.slow_pauses[min(account.slow_pauses, len(policy.slow_pauses) - 1)]
    slower = replace(account, slow_pauses=account.slow_pauses + 1)
    return replace(_paused(slower, reason, now + timedelta(seconds=seconds), message), before=account)


def resumed(account: PauseStatus) -> AccountMove:
    after = replace(account, pause_reason=None, paused_until=None, pause_message=None, slow_pauses=0)
    return AccountMove(account, after)


def _pause(account: PauseStatus, now: datetime, policy: Policy, message: str) -> AccountMove:
    until = now + timedelta(seconds=policy.permission_pause_seconds)
    return _paused(account, PauseReason.PERMISSION, until, message)


def _paused(account: PauseStatus, reason: PauseReason, until: datetime, message: str) -> AccountMove:
    after = replace(account, pause_reason=reason, paused_until=until, pause_message=message)
    detail = {"reason": reason.value, "until": until.isoformat(), "message": message}
    return AccountMove(account, after, EventName.ACCOUNT_PAUSED, detail)
