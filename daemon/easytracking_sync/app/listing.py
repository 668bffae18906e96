"""Going through a cycle to its end, whatever the service does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from easytracking_sync.effects import Effects
from easytracking_sync.errors import Transient
from easytracking_sync.machine.listing.cycle import Cycle
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import Policy


@dataclass(frozen=True, slots=True)
class Step:
    """How one step went: whether there are more, or what kept it from being made and how long to wait for it."""

    more: bool
    trouble: Transient | None = None
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Lister:
    """Steps through cycles."""

    effects: Effects
    policy: Policy
    observer: Observer
    stop: threading.Event

    def step(self, cycle: Cycle, failures: int) -> Step:
        """The next step, after so many failures in a row. CredentialsRefused and Fatal escape; Transient does not."""
        try:
            return Step(cycle.step())
        except Transient as trouble:
            if self.stop.is_set():  # the call was broken off on purpose
                return Step(more=False)
            self.observer.note("list.failed", level="warning", account=cycle.account.label, reason=str(trouble))
            policy = replace(self.policy, roll=self.effects.dice.random())
            return Step(more=True, trouble=trouble, pause_seconds=policy.backoff(failures + 1, trouble.retry_after))

    def list_through(
        self,
        cycle: Cycle,
        on_step: Callable[[Cycle], object],
        on_trouble: Callable[[Cycle, Transient], object],
    ) -> None:
        """Until the cycle's end or a stop; what is transient is waited out. Errors as for `step`."""
        failures = 0
        more = True
        while more and not self.stop.is_set():
            made = self.step(cycle, failures)
            more = made.more
            if made.trouble is not None:
                failures += 1
                on_trouble(cycle, made.trouble)
                self.effects.clock.wait(self.stop, made.pause_seconds)
            elif not self.stop.is_set():
                failures = 0
                on_step(cycle)
