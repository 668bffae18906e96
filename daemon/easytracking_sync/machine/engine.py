"""The engine: claim one due batch, perform its effect with no transaction open, decide, commit. Then the next.

Any number of threads may call `step`, or `claim` and `perform`, side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from easytracking_sync.archive.claiming import Wanted
from easytracking_sync.archive.clock_errors import set_right
from easytracking_sync.archive.landing import Terms
from easytracking_sync.archive.settling import Commit
from easytracking_sync.archive.store import Archive
from easytracking_sync.effects import Effects
from easytracking_sync.errors import CredentialsRefused, DatabaseUnavailable, StaleLease, StorageFault, Transient
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.batch import Event, Happened, advance
from easytracking_sync.machine.errands import GOES_ON, Errand, Errands
from easytracking_sync.machine.gate import Gate
from easytracking_sync.machine.held_claims import HeldClaims
from easytracking_sync.machine.observer import Observer
from easytracking_sync.machine.policy import Policy
from easytracking_sync.remote import ParcelLimits
from easytracking_sync.terms import BatchState, Claim, DocumentState, Fate, PauseReason, Purpose

COMMIT_TRIES = 5
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
        self.gate = Gate(archive.accounts, effects.clock, observer, policy)
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
        errands = Errands(archive, self.gate, effects.clock, bounds.parcel, policy.most_asks, observer)
        self._errands: Mapping[BatchState, Callable[[Claim, Account], Errand]] = {
            BatchState.PLANNED: errands.reserve,
            BatchState.RESERVED: errands.fetch,
            BatchState.FETCHED: errands.store,
            BatchState.STORED: errands.acknowledge,
        }

    def recover(self) -> None:
        """Once, before the first step: void what a dead instance held, if this one is alone, and sweep the spool."""
        self._archive.batches.release_all()
        set_right(self._archive.database, self._effects.clock.now())
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
                self._archive.pool.plan(self._accounts, now, self._bounds.jobs_in_flight)
            performing = self._holds.batch_ids
            wanted = Wanted(self._accounts, lane.value, self._bounds.jobs_in_flight, may_reserve, performing)
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
                errand = self._errands[claim.batch.state](claim, account)
            except CredentialsRefused:
                self._archive.batches.release(claim)
                return
            except StorageFault as fault:
                self._note_storage(fault)
                errand = Errand(Event(Happened.STORAGE_FAILED, str(fault)))
            except Transient as trouble:
                errand = Errand(Event(Happened.UNAVAILABLE, str(trouble), retry_after=trouble.retry_after))
            if self._holds.are_sure(claim) and self._commit(claim, account, errand):
                errand.afterwards()
            else:
                self._observer.note("batch.fenced", level="warning", account=account.label, batch=claim.batch.id)

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
            hastened = set_right(self._archive.database, wall)
            self._observer.note("clock.set_back", level="warning", seconds=round(back), hastened=hastened)
        self._seen_clock = wall, monotonic

    def _commit(self, claim: Claim, account: Account, errand: Errand) -> bool:
        """Whether what came of the effect is in the database; False where another worker holds the batch by now."""
        now = self._effects.clock.now()
        event = errand.event
        decision = advance(claim.batch, event, now, replace(self.policy, roll=self._effects.dice.random()))
        after = decision.batch
        refused = event.happened is Happened.REFUSED and decision.fate is Fate.SUSPECTED
        commit = Commit(
            claim=claim,
            after=after,
            name=_event_name(claim, after.state, event),
            terms=self._terms(now),
            reason=event.reason,
            fate=decision.fate,
            halves_in=decision.halves_in,
            landed=errand.landed,
            unacknowledgeable=decision.unacknowledgeable,
            accepted=event.happened is Happened.JOB_CREATED,
            told=errand.told,
            refusals_to_pause=self.policy.refusals_to_pause if refused else None,
            pause_seconds=self.policy.permission_pause_seconds,
        )
        try:
            self._persist(commit, now)
        except StaleLease:
            return False
        self._count(commit)
        self._tell(commit, account, event)
        if refused and self._archive.accounts.paused(account.id, now) is PauseReason.PERMISSION:
            self._observer.note("account.paused", level="error", account=account.label, reason=event.reason)
        return True

    def _persist(self, commit: Commit, now: datetime) -> None:
        """Commit; where an answer was lost, read again before anything is assumed, and however often it takes."""
        in_doubt = False
        for attempt in range(1, COMMIT_TRIES + 1):
            try:
                if not (in_doubt and self._archive.batches.was_committed(commit)):
                    self._try_to_commit(commit, now, in_doubt=in_doubt)
            except DatabaseUnavailable:
                if attempt == COMMIT_TRIES:
                    raise
                in_doubt = True
                self._effects.clock.wait(threading.Event(), self.policy.backoff(attempt))
            else:
                return

    def _try_to_commit(self, commit: Commit, now: datetime, *, in_doubt: bool) -> None:
        try:
            self._archive.batches.commit(commit, now)
        except StaleLease:
            # A server may finish an earlier try after its client lost it, and after it was looked for.
            if not (in_doubt and self._archive.batches.was_committed(commit)):
                raise

    def _terms(self, now: datetime) -> Terms:
        policy = replace(self.policy, roll=self._effects.dice.random())

        def setback(attempts: int) -> tuple[DocumentState, datetime]:
            gave_up = attempts >= policy.max_attempts
            state = DocumentState.QUARANTINED if gave_up else DocumentState.DISCOVERED
            return state, now + timedelta(seconds=policy.document_retry(attempts))

        return Terms(setback=setback, ask_again_at=now + timedelta(seconds=policy.backoff(1)))

    def _has_room(self) -> bool:
        """Below `min_free_bytes` nothing is reserved, and it is said once."""
        if self._archive.spool.has_room():
            return True
        if self.storage_failure is None:
            short = self._archive.spool.room.shortage()
            self._note_storage(StorageFault(f"{short or 'a disk was nearly full'}; nothing is reserved"))
        return False

    def _note_storage(self, fault: StorageFault) -> None:
        self.storage_failure = str(fault)
        self._observer.note("storage.failed", level="error", reason=str(fault))

    def _count(self, commit: Commit) -> None:
        with self._lock:
            self.tally.moves += commit.after.state is not commit.claim.batch.state
            home = [one for one in commit.landed if one.landing in GOES_ON]
            self.tally.documents += len(home)
            self.tally.files += sum(len(one.files) for one in home)
            self.tally.bytes += sum(file.size for one in home for file in one.files)
            if commit.fate is Fate.ACKNOWLEDGED:
                self.tally.acknowledged += len(commit.claim.documents)

    def _tell(self, commit: Commit, account: Account, event: Event) -> None:
        claim, after = commit.claim, commit.after
        waits = after.state is claim.batch.state
        if event.happened is Happened.PENDING:
            return
        troubled = waits or after.state in (BatchState.PLANNED, BatchState.SPLIT, BatchState.ABANDONED)
        self._observer.note(
            commit.name if not waits else f"batch.{event.happened}",
            level="warning" if troubled else "debug",
            account=account.label,
            batch=after.id,
            documents=after.size,
            **({"reason": event.reason} if event.reason else {}),
            **({"next_attempt_at": after.next_attempt_at} if waits else {}),
        )


def _event_name(claim: Claim, state: BatchState, event: Event) -> str:
    if state is BatchState.PLANNED:
        return "batch.lost" if event.happened is not Happened.PARCEL_GONE else "parcel.gone"
    if state is claim.batch.state:
        return f"batch.{event.happened}"
    if claim.batch.purpose is Purpose.RELISTED and state is BatchState.ACKNOWLEDGED:
        return "batch.acknowledged_again"
    return f"batch.{state}"
