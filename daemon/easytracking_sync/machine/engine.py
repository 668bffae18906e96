"""The engine: claim one due batch, perform its effect with no transaction open, decide, commit. Then the next.

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
from easytracking_sync.machine.decision import Outcome, Permission, concerns_permission, decide
from easytracking_sync.machine.gate import Gate
from easytracking_sync.machine.held_claims import HeldClaims
from easytracking_sync.machine.intake import until_current
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.pauses import Pauses
from easytracking_sync.machine.planning import plan
from easytracking_sync.machine.policy import Policy
from easytracking_sync.remote import ParcelLimits
from easytracking_sync.terms import BatchState, Claim, chunked
from easytracking_sync.transition import Transition

T = TypeVar("T")

COMMIT_TRIES = 5
ACCOUNTS_AT_ONCE = 32
"""Accounts whose batches are planned in one transaction."""
SET_BACK_SECONDS = 60.0


class Lane(Enum):
    """Long fetches have their own threads, so that slow downloads never hold up anything else."""

    SHORT = (BatchState.STORED, BatchState.FETCHED, BatchState.PLANNED)
    FETCH = (BatchState.RESERVED,)
    ANY = (*SHORT, *FETCH)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the engine never exceeds."""

    jobs_in_flight: int = 4  # per account
    parcel: ParcelLimits = field(default_factory=ParcelLimits)


@dataclass(slots=True)
class Tally:
    """What the engine has done since it began."""

    moves: int = 0  # batches that changed their state
    documents: int = 0  # stored, to be acknowledged
    files: int = 0
    bytes: int = 0
    acknowledged: int = 0


class Engine:
    """Moves batches of these accounts through the machine's table.

    Errors of one batch become its events. What escapes `perform` is Fatal (stop), DatabaseUnavailable (the commit
    did not go through; the batch is claimed again later), or a bug.
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
        self.gate = Gate(Pauses(archive.accounts, policy), effects.clock, observer, policy)
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
        effect = BatchEffects(archive, self.gate, effects.clock, bounds.parcel, policy.most_asks, observer)
        self._effect_of: Mapping[BatchState, Callable[[Claim, Account], Performed]] = {
            BatchState.PLANNED: effect.reserve,
            BatchState.RESERVED: effect.fetch,
            BatchState.FETCHED: effect.store,
            BatchState.STORED: effect.acknowledge,
        }

    def recover(self) -> None:
        """Once, before the first step: void what a dead instance held, if this one is alone, and sweep the spool."""
        self._archive.batches.release_all()
        repair_instants(self._archive.database, self._effects.clock.now())
        self._archive.leases.announce(self._effects.clock.now())
        self._archive.blobs.sweep(self._effects.clock.now())
        spool = self._archive.spool
        spool.prepare()
        lying = spool.lying()  # before it is asked what is waited for: what comes meanwhile stays
        spool.sweep(self._archive.batches.spooled(), lying)

    def step(self, lane: Lane = Lane.ANY) -> bool:
        """Claim one due batch of this lane and perform it; False where nothing is due."""
        claim = self.claim(lane)
        if claim is None:
            return False
        self.perform(claim)
        return True

    def claim(self, lane: Lane) -> Claim | None:
        """Take one due batch, after planning new ones where there is room; None where nothing is due."""
        clock = self._effects.clock
        now = clock.now()
        with self._claiming:
            self._mind_the_clock()
            may_reserve = lane is Lane.FETCH or self._has_room()
            if may_reserve and lane is not Lane.FETCH:
                self._plan(now)
            performing = self._holds.batch_ids
            wanted = ClaimCriteria(self._accounts, lane.value, self._bounds.jobs_in_flight, may_reserve, performing)
            asked_at = clock.monotonic()
            claim = self._archive.batches.claim(wanted, now)
            if claim is not None:
                self._holds.add(claim, asked_at)
            return claim

    def perform(self, claim: Claim) -> None:
        """The claimed batch's next effect, and the commit of what came of it."""
        with self._holds.performing(claim):
            account = self._accounts[claim.batch.account_id]
            try:
                performed = self._effect_of[claim.batch.state](claim, account)
            except CredentialsRefused:
                self._archive.batches.release(claim)
                return
            except StorageFault as fault:
                self._note_storage(fault)
                performed = Performed(Outcome(BatchEvent(BatchHappened.STORAGE_FAILED, str(fault))))
            except Transient as trouble:
                waits = BatchEvent(BatchHappened.UNAVAILABLE, str(trouble), retry_after=trouble.retry_after)
                performed = Performed(Outcome(waits))
            if self._holds.are_sure(claim) and self._commit(claim, account, performed.outcome):
                performed.afterwards()
            else:
                self._observer.note(EventName.BATCH_FENCED, account=account.label, batch=claim.batch.id)

    @property
    def renew_seconds(self) -> float | None:
        """How often `renew` is to be called while anything is performed; None where leases do not run out."""
        return self._archive.batches.renew_seconds

    def renew(self) -> None:
        """Hold on to what is being performed, and be seen. Where that fails for long, the results are dropped."""
        self._holds.renew()
        self._archive.leases.announce(self._effects.clock.now())

    def let_go(self) -> None:
        """At the end, when nothing is performed any more: others need not wait for leases to run out."""
        self._archive.batches.let_go()
        self._archive.leases.give_all_back()

    def replace(self, account: Account) -> None:
        """Go on with this account in another way (another secret, another service)."""
        with self._lock:
            self._accounts = {**self._accounts, account.id: account}
        self.gate.forget(account.id)

    def put_off(self, claim: Claim) -> None:
        """After a bug: leave this batch alone for the longest pause, so that the others get on."""
        until = self._effects.clock.now() + timedelta(seconds=self.policy.retry_cap_seconds)
        self._archive.batches.postpone(claim, until)

    def next_due(self) -> datetime | None:
        """When there is something to claim again; None where nothing waits."""
        return self._archive.batches.next_due(self._accounts, self._effects.clock.now(), self._holds.batch_ids)

    def _mind_the_clock(self) -> None:
        """Where the wall clock was set back, nothing is to wait until it has caught up."""
        clock = self._effects.clock
        wall, monotonic = clock.now(), clock.monotonic()
        seen_wall, seen_monotonic = self._seen_clock
        back = (seen_wall - wall).total_seconds() + monotonic - seen_monotonic
        if back > SET_BACK_SECONDS:
            hastened = repair_instants(self._archive.database, wall)
            self._observer.note(EventName.CLOCK_SET_BACK, seconds=round(back), hastened=hastened)
        self._seen_clock = wall, monotonic

    def _plan(self, now: datetime) -> None:
        """Put due documents into new batches; where another instance was faster, the next claim looks again."""
        most, documents = self._bounds.jobs_in_flight, self._archive.documents
        for some in chunked(documents.with_due(self._accounts, now, most), ACCOUNTS_AT_ONCE):
            planned = (plan(documents.due(account_id, now, most), now, self.policy, most) for account_id in some)
            transitions = [transition for transition in planned if transition is not None]
            with contextlib.suppress(Outdated):
                self._archive.transitions.apply_all(transitions, now)

    def _commit(self, claim: Claim, account: Account, outcome: Outcome) -> bool:
        """Whether what came of the effect is in the database; False where another worker holds the batch by now."""
        now = self._effects.clock.now()
        policy = replace(self.policy, roll=self._effects.dice.random())

        def attempt() -> Transition:
            current = self._patiently(lambda _: self._archive.batches.look_again(claim)) if tried else claim
            tried.append(claim)
            permission = self._patiently(lambda _: self._permission(current, outcome.event, now))
            transition = decide(current, outcome, now, policy, permission)
            self._patiently(lambda in_doubt: self._persist(transition, now, in_doubt=in_doubt))
            return transition

        tried: list[Claim] = []
        try:
            transition = until_current(attempt)
        except StaleLease:
            return False
        self._count(transition, outcome)
        self._tell(transition, account, outcome.event)
        return True

    def _permission(self, claim: Claim, event: BatchEvent, now: datetime) -> Permission | None:
        """What the archive knows of the account's permission, where that matters."""
        if not concerns_permission(claim, event):
            return None
        pause_status = self._archive.accounts.pause_status(claim.batch.account_id)
        if event.happened is BatchHappened.JOB_CREATED:
            return Permission(pause_status)
        since = pause_status.refused_since or now
        return Permission(
            pause_status,
            kin_accepted=self._archive.batches.kin_was_accepted(claim.batch),
            suspects=self._archive.documents.failed_once_since(pause_status.id, since),
            planned=self._archive.batches.to_recall(pause_status.id),
        )

    def _patiently(self, work: Callable[[bool], T]) -> T:
        """What comes of some work with the archive, once it answers; `work` is told whether an answer was lost."""
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
        """Commit; where an answer was lost, read again before anything is assumed."""
        if in_doubt and self._archive.transitions.was_applied(transition):
            return
        try:
            self._archive.transitions.apply(transition, now)
        except (StaleLease, Outdated):
            # A server may finish an earlier try after its client lost it, and after it was looked for.
            if not (in_doubt and self._archive.transitions.was_applied(transition)):
                raise

    def _has_room(self) -> bool:
        """Below `min_free_bytes` nothing is reserved, and it is said once."""
        if self._archive.spool.has_room():
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
