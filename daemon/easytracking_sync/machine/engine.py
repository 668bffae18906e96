"""The engine: claims a due batch, performs its effect outside any transaction, decides, and commits.

Any number of threads may call `step`, or `claim` and `perform`, side by side.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeVar

from easytracking_sync.archive.claim_queries import ClaimCriteria
from easytracking_sync.archive.clock_repair import repair_instants
from easytracking_sync.archive.opening import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import (
    CredentialsRefused,
    DatabaseUnavailable,
    Outdated,
    StaleLease,
    StorageFault,
    Transient,
)
from easytracking_sync.events import EventName
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.batch import BatchEvent, BatchHappened
from easytracking_sync.machine.batch_effects import BatchEffects, Performed
from easytracking_sync.machine.circuit_breaker import ArchivePauses, CircuitBreaker
from easytracking_sync.machine.decision import Outcome, Permission, concerns_permission, decide
from easytracking_sync.machine.failed_calls import FailedCalls
from easytracking_sync.machine.held_claims import HeldClaims
from easytracking_sync.machine.intake import retry_while_outdated
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.planning import plan
from easytracking_sync.machine.policy import Policy
from easytracking_sync.machine.suspicion import Suspicion
from easytracking_sync.remote import ParcelLimits
from easytracking_sync.terms import BatchState, Claim, chunked
from easytracking_sync.transition import Transition

T = TypeVar("T")

COMMIT_TRIES = 5
ACCOUNTS_AT_ONCE = 32
"""Accounts whose batches are planned in one transaction."""
SET_BACK_SECONDS = 60.0


class Lane(Enum):
    """Fetches have their own threads, so that slow downloads never delay other work."""

    SHORT = (BatchState.STORED, BatchState.FETCHED, BatchState.PLANNED)
    FETCH = (BatchState.RESERVED,)
    ANY = (*SHORT, *FETCH)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits that the engine never exceeds."""

    jobs_in_flight: int = 4  # per account
    parcel: ParcelLimits = field(default_factory=ParcelLimits)


@dataclass(slots=True)
class Tally:
    """What the engine has done since it started."""

    moves: int = 0  # state changes of batches
    documents: int = 0  # stored, to be acknowledged
    files: int = 0
    bytes: int = 0
    acknowledged: int = 0


class Engine:
    """Moves the batches of these accounts through their lifecycle.

    An error of one batch becomes its event. `perform` raises Fatal (stop), DatabaseUnavailable (not committed; the
    batch is claimed again later), or a bug's exception.
    """

    def __init__(
        self,
        archive: Archive,
        accounts: Collection[Account],
        policy: Policy,
        effects: Effects,
        observer: Observer,
        bounds: Bounds,
    ) -> None:
        suspicion = Suspicion(policy)
        self.circuit_breaker = CircuitBreaker(
            ArchivePauses(archive.accounts, policy), effects.clock, observer, policy, suspicion.answered
        )
        self.policy = policy
        self.tally = Tally()
        self.storage_failure: str | None = None
        self._archive = archive
        self._accounts: Mapping[int, Account] = {account.id: account for account in accounts}
        self._effects = effects
        self._observer = observer
        self._bounds = bounds
        self._lock = threading.Lock()
        self._claiming = threading.Lock()
        self._holds = HeldClaims(archive.batches, effects.clock)
        self._seen_clock = effects.clock.now(), effects.clock.monotonic()
        effect = BatchEffects(archive, self.circuit_breaker, effects.clock, bounds.parcel, policy.most_asks, observer)
        self._failed_calls = FailedCalls(self.circuit_breaker, effects.clock, effect, suspicion)
        self._effect_of: Mapping[BatchState, Callable[[Claim, Account], Performed]] = {
            BatchState.PLANNED: effect.reserve,
            BatchState.RESERVED: effect.fetch,
            BatchState.FETCHED: effect.store,
            BatchState.STORED: effect.acknowledge,
        }

    def recover(self) -> None:
        """Once, before the first step: release what a dead instance held if this is the only one; sweep the spool."""
        self._archive.batches.release_all()
        repair_instants(self._archive.database, self._effects.clock.now())
        self._archive.leases.announce(self._effects.clock.now())
        self._archive.blobs.sweep(self._effects.clock.now())
        spool = self._archive.spool
        spool.prepare()
        present = spool.names()  # before asking which parcels are needed, so that one that arrives meanwhile stays
        spool.sweep(self._archive.batches.spooled(), present)

    def step(self, lane: Lane = Lane.ANY) -> bool:
        """Claim and perform one due batch of this lane; False if nothing is due."""
        claim = self.claim(lane)
        if claim is None:
            return False
        self.perform(claim)
        return True

    def claim(self, lane: Lane, free_threads: int | None = None) -> Claim | None:
        """Claim one due batch, after planning new ones if the disk has space; None if nothing is due.

        An account gets a thread only while more of the lane's threads are free than it has already: however slow its
        calls are, others find a thread.
        """
        clock = self._effects.clock
        now = clock.now()
        with self._claiming:
            self._check_clock()
            may_reserve = lane is Lane.FETCH or self._has_room()
            if may_reserve and lane is not Lane.FETCH:
                self._plan(now)
            performing = self._holds.batch_ids
            crowded = self._holds.accounts_with(free_threads, lane.value) if free_threads else frozenset()
            account_ids = self._accounts.keys() - crowded
            wanted = ClaimCriteria(account_ids, lane.value, self._bounds.jobs_in_flight, may_reserve, performing)
            asked_at = clock.monotonic()
            claim = self._archive.batches.claim(wanted, now)
            if claim is not None:
                self._holds.add(claim, asked_at)
            return claim

    def perform(self, claim: Claim) -> None:
        """Perform the claimed batch's effect and commit the result."""
        with self._holds.performing(claim):
            account = self._accounts[claim.batch.account_id]
            try:
                performed = self._effect_of[claim.batch.state](claim, account)
                self._failed_calls.came_through(claim, performed.outcome)
            except CredentialsRefused:
                self._archive.batches.release(claim)
                return
            except StorageFault as fault:
                self._note_storage(fault)
                performed = Performed(Outcome(BatchEvent(BatchHappened.STORAGE_FAILED, str(fault))))
            except Transient as trouble:
                performed = self._failed_calls.judge(claim, account, trouble)
            if self._holds.are_sure(claim) and self._commit(claim, account, performed.outcome):
                performed.afterwards()
            else:
                self._observer.note(EventName.BATCH_FENCED, account=account.label, batch=claim.batch.id)

    @property
    def renew_seconds(self) -> float | None:
        """How often to call `renew` while effects are under way; None if leases do not expire."""
        return self._archive.batches.renew_seconds

    def renew(self) -> None:
        """Renew the leases of effects under way. If this fails for long, their results are discarded."""
        self._holds.renew()
        self._archive.leases.announce(self._effects.clock.now())

    def release_leases(self) -> None:
        """At the end, when no effect is under way: release the leases before they expire."""
        self._archive.batches.release_leases()
        self._archive.leases.release_all()

    def replace(self, account: Account) -> None:
        """Use the account's new settings (secret, service) from now on."""
        with self._lock:
            self._accounts = {**self._accounts, account.id: account}
        self.circuit_breaker.forget(account.id)

    def postpone(self, claim: Claim) -> None:
        """After a bug: postpone this batch by the longest pause, so that others continue."""
        until = self._effects.clock.now() + timedelta(seconds=self.policy.retry_cap_seconds)
        self._archive.batches.postpone(claim, until)

    def next_due(self) -> datetime | None:
        """When the next batch is due; None if nothing waits."""
        return self._archive.batches.next_due(self._accounts, self._effects.clock.now(), self._holds.batch_ids)

    def _check_clock(self) -> None:
        """If the wall clock was set back, correct stored times, so that nothing waits until it has caught up."""
        clock = self._effects.clock
        wall, monotonic = clock.now(), clock.monotonic()
        seen_wall, seen_monotonic = self._seen_clock
        back = (seen_wall - wall).total_seconds() + monotonic - seen_monotonic
        if back > SET_BACK_SECONDS:
            hastened = repair_instants(self._archive.database, wall)
            self._observer.note(EventName.CLOCK_SET_BACK, seconds=round(back), hastened=hastened)
        self._seen_clock = wall, monotonic

    def _plan(self, now: datetime) -> None:
        """Put due documents into new batches; if another instance was faster, the next claim plans again."""
        most, documents = self._bounds.jobs_in_flight, self._archive.documents
        for some in chunked(documents.with_due(self._accounts, now, most), ACCOUNTS_AT_ONCE):
            planned = (plan(documents.due(account_id, now, most), now, self.policy, most) for account_id in some)
            transitions = [transition for transition in planned if transition is not None]
            with contextlib.suppress(Outdated):
                self._archive.transitions.apply_all(transitions, now)

    def _commit(self, claim: Claim, account: Account, outcome: Outcome) -> bool:
        """Whether the result of the effect was committed; False if another worker holds the batch now."""
        now = self._effects.clock.now()
        policy = replace(self.policy, jitter=self._effects.dice.random())

        def attempt() -> Transition:
            current = self._with_retries(lambda _: self._archive.batches.reload(claim)) if tried else claim
            tried.append(claim)
            permission = self._with_retries(lambda _: self._permission(current, outcome.event, now))
            transition = decide(current, outcome, now, policy, permission)
            self._with_retries(lambda in_doubt: self._persist(transition, now, in_doubt=in_doubt))
            return transition

        tried: list[Claim] = []
        try:
            transition = retry_while_outdated(attempt)
        except StaleLease:
            return False
        self._count(transition, outcome)
        self._tell(transition, account, outcome.event)
        return True

    def _permission(self, claim: Claim, event: BatchEvent, now: datetime) -> Permission | None:
        """What the archive knows about the account's permission, if that matters."""
        if not concerns_permission(claim, event):
            return None
        pause_status = self._archive.accounts.pause_status(claim.batch.account_id)
        if event.happened is BatchHappened.JOB_CREATED:
            return Permission(pause_status)
        since = pause_status.refused_since or now
        return Permission(
            pause_status,
            sibling_accepted=self._archive.batches.sibling_was_accepted(claim.batch),
            suspects=self._archive.documents.failed_once_since(pause_status.id, since),
            planned=self._archive.batches.to_recall(pause_status.id),
        )

    def _with_retries(self, work: Callable[[bool], T]) -> T:
        """Retry work with the database while it is unavailable; `work` is told whether an answer was lost."""
        tries = 0
        while True:
            tries += 1
            try:
                return work(tries > 1)
            except DatabaseUnavailable:
                if tries == COMMIT_TRIES:
                    raise
                self._effects.clock.wait(threading.Event(), self.policy.backoff(tries))

    def _persist(self, transition: Transition, now: datetime, *, in_doubt: bool) -> None:
        """Commit; if an earlier answer was lost, first check whether it was committed."""
        if in_doubt and self._archive.transitions.was_applied(transition):
            return
        try:
            self._archive.transitions.apply(transition, now)
        except (StaleLease, Outdated):
            # The server may have committed the earlier attempt after that check.
            if not (in_doubt and self._archive.transitions.was_applied(transition)):
                raise

    def _has_room(self) -> bool:
        """Below `min_free_bytes` nothing is reserved; this is reported once."""
        if self._archive.spool.has_space():
            return True
        if self.storage_failure is None:
            short = self._archive.spool.disk_space.shortage()
            self._note_storage(StorageFault(f"{short or 'a disk was nearly full'}; nothing is reserved"))
        return False

    def _note_storage(self, fault: StorageFault) -> None:
        self.storage_failure = str(fault)
        self._observer.note(EventName.STORAGE_FAILED, reason=str(fault))

    def _count(self, transition: Transition, outcome: Outcome) -> None:
        move = transition.batches[0]
        home = [one for one in outcome.verdicts if one.is_stored]
        with self._lock:
            self.tally.moves += move.after.state is not move.before.state
            self.tally.documents += len(home)
            self.tally.files += sum(len(one.files) for one in home)
            self.tally.bytes += sum(file.size for one in home for file in one.files)
            if move.after.state is BatchState.ACKNOWLEDGED:
                self.tally.acknowledged += len(transition.documents)

    def _tell(self, transition: Transition, account: Account, event: BatchEvent) -> None:
        move = transition.batches[0]
        after = move.after
        if transition.account is not None and transition.account.name is not None:
            self._observer.note(transition.account.name, account=account.label, reason=event.reason)
        if move.name is None:
            return
        facts: dict[str, Any] = {"reason": event.reason} if event.reason else {}
        if after.state is move.before.state:
            facts["next_attempt_at"] = after.next_attempt_at
        self._observer.note(move.name, account=account.label, batch=after.id, documents=after.size, **facts)
