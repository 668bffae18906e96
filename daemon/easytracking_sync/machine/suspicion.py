"""Is it a batch that the service fails over, or does the service fail? Told by the account's other calls. Pure.

A failure speaks against its batch only where another call of the same account was answered since the batch's failure
before: while everything fails, nothing is counted. What is counted is kept in memory; a new process begins anew.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from easytracking_sync.machine.policy import Policy
from easytracking_sync.terms import Batch, BatchState

MOST_REMEMBERED: Final = 1000
"""Failing batches; beyond it those that failed first are forgotten (BOUNDED)."""


@dataclass(slots=True)
class _Failing:
    """A batch whose call failed. Times are monotonic."""

    state: BatchState
    since: float
    answers: int  # the account's, when it failed last
    successes: int  # of the same call for other batches, when it failed first
    counted: int = 0


@dataclass(slots=True)
class _Calls:
    """An account's calls so far. Times are monotonic."""

    answers: int = 0
    successes: dict[BatchState, int] = field(default_factory=dict)
    unproven: dict[BatchState, int] = field(default_factory=dict)  # judgements without a success, in a row
    judged_at: dict[BatchState, float] = field(default_factory=dict)
    silent_probes: int = 0  # in a row
    probe_from: float = 0.0


class Suspicion:
    """Counts failures, and judges. Any thread may call it.

    A batch is singled out after `failures_to_single_out` counted failures in a row if the same call went through for
    another batch meanwhile. Without such a success it may be that call as a whole that does not work: then one batch
    of the account is singled out after `unproven_pause_seconds`, the next after twice that time, and so on.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._calls: dict[int, _Calls] = {}
        self._failing: OrderedDict[int, _Failing] = OrderedDict()
        # The successes when a part of this root was last singled out: one half's success speaks against the other.
        self._split: OrderedDict[tuple[int, BatchState], int] = OrderedDict()

    def answered(self, account_id: int) -> None:
        """The service answered some call of this account."""
        with self._lock:
            calls = self._of(account_id)
            calls.answers += 1
            calls.silent_probes = 0

    def came_through(self, batch: Batch, *, proves: bool) -> None:
        """The call was answered for this batch; `proves` that this call of the service works for the account."""
        with self._lock:
            self._failing.pop(batch.id, None)
            if not proves:
                return
            calls = self._of(batch.account_id)
            calls.successes[batch.state] = calls.successes.get(batch.state, 0) + 1
            calls.unproven.pop(batch.state, None)
            calls.judged_at.pop(batch.state, None)

    def needs_probe(self, batch: Batch, now: float) -> bool:
        """Whether the batch failed before, and nothing was answered since: a call would tell."""
        with self._lock:
            calls, failing = self._of(batch.account_id), self._failing.get(batch.id)
            if failing is None or failing.state is not batch.state or calls.answers > failing.answers:
                return False
            if now < calls.probe_from:
                return False
            pause = self._policy.probe_pause_seconds * 2.0 ** min(calls.silent_probes, 32)
            calls.probe_from = now + min(pause, self._policy.retry_cap_seconds)
            calls.silent_probes += 1
            return True

    def failed(self, batch: Batch, now: float) -> bool:
        """The call failed for this batch. Whether the batch is singled out: then it is not known here any more."""
        with self._lock:
            calls = self._of(batch.account_id)
            failing = self._failing.get(batch.id)
            if failing is None or failing.state is not batch.state:
                successes = self._split.get((batch.root_id, batch.state), calls.successes.get(batch.state, 0))
                self._failing[batch.id] = _Failing(batch.state, now, calls.answers, successes)
                _bound(self._failing)
                return False
            failing.counted += calls.answers > failing.answers
            failing.answers = calls.answers
            if failing.counted < self._policy.failures_to_single_out or not self._may_judge(calls, failing, now):
                return False
            del self._failing[batch.id]
            self._split[batch.root_id, batch.state] = calls.successes.get(batch.state, 0)
            _bound(self._split)
            return True

    def _may_judge(self, calls: _Calls, failing: _Failing, now: float) -> bool:
        state = failing.state
        if calls.successes.get(state, 0) > failing.successes:
            return True
        unproven = calls.unproven.get(state, 0)
        since = max(failing.since, calls.judged_at.get(state, failing.since))
        longest = self._policy.permission_pause_seconds
        if now - since < min(longest, self._policy.unproven_pause_seconds * 2.0 ** min(unproven, 32)):
            return False
        calls.unproven[state] = unproven + 1
        calls.judged_at[state] = now
        return True

    def _of(self, account_id: int) -> _Calls:
        return self._calls.setdefault(account_id, _Calls())


def _bound(remembered: OrderedDict[Any, Any]) -> None:
    if len(remembered) > MOST_REMEMBERED:
        remembered.popitem(last=False)
