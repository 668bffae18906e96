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


@dataclass(frozen=True, slots=True)
class Lister:
    """Steps through cycles, and waits where the service does not answer."""

    effects: Effects
    policy: Policy
    observer: Observer
    stop: threading.Event

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
            try:
                more = cycle.step()
            except Transient as trouble:
                if self.stop.is_set():  # the call was broken off on purpose
                    return
                failures += 1
                on_trouble(cycle, trouble)
                self.observer.note("list.failed", level="warning", account=cycle.account.label, reason=str(trouble))
                policy = replace(self.policy, roll=self.effects.dice.random())
                self.effects.clock.wait(self.stop, policy.backoff(failures, trouble.retry_after))
            else:
                failures = 0
                on_step(cycle)
