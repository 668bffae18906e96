"""Going through a cycle to its end, whatever the service does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from easytracking_sync.effects import Effects
from easytracking_sync.errors import Transient
from easytracking_sync.machine.discovery import Cycle
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.turns import Turns

STEP_SECONDS = 3600.0
"""Longer than any step that does not hang: a list may take five minutes to come, and as long to be taken in."""


@dataclass(frozen=True, slots=True)
class Lister:
    """Steps through cycles, and waits where the service does not answer; `turns` hears of both."""

    effects: Effects
    policy: Policy
    observer: Observer
    stop: threading.Event
    turns: Turns | None = None

    def list_through(
        self,
        cycle: Cycle,
        on_step: Callable[[Cycle], object],
        on_trouble: Callable[[Cycle, Transient], object],
    ) -> None:
        """Until the cycle's end or a stop. CredentialsRefused and Fatal escape; transient errors are waited out."""
        failures = 0
        more = True
        while more and not self.stop.is_set():
            if self.turns is not None:
                self.turns.begin(STEP_SECONDS)
            try:
                more = cycle.step()
            except Transient as trouble:
                if self.stop.is_set():  # the call was broken off on purpose
                    return
                failures += 1
                on_trouble(cycle, trouble)
                self.observer.note("list.failed", level="warning", account=cycle.account.label, reason=str(trouble))
                if self.turns is not None:
                    self.turns.rest()
                policy = replace(self.policy, roll=self.effects.dice.random())
                self.effects.clock.wait(self.stop, policy.backoff(failures, trouble.retry_after))
            else:
                failures = 0
                on_step(cycle)
