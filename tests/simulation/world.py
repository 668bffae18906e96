"""One small service, one archive, one engine after another, and all that may befall them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import httpx
from tests.simulation.fate import CrashError, Deal, Effect, Fate, MortalFiles, MortalTransport, make_mortal
from tests.simulation.notary import Notary
from tests.support.station import VirtualClock, Wish, build, settle

from easytracking_simulator import File, Options, Simulator
from easytracking_sync.errors import Fatal, Permanent, Transient
from easytracking_sync.machine.engine import Bounds
from easytracking_sync.machine.policy import Policy

QUIET = Options(documents=0, accounts=2, job_seconds=1.0)
SHORT_HISTORY = Wish(history_from=date(2026, 11, 1))
MOST_LIVES = 60

Chapter = Callable[[Simulator], object]


@functools.cache
def written(seed: int, share: float) -> tuple[tuple[File, ...], ...]:
    """Files of real-looking documents: signing takes longer than a whole run."""
    options = Options(documents=6, seed=seed, p7m_share=share, long_share=0.0, attachment_share=0.0, history_days=30)
    simulator = Simulator(options, VirtualClock())
    return tuple(simulator.files(doc_id) for doc_id in simulator.ids())


def files_for(number: int, *, signed: bool = False) -> Mapping[str, tuple[str, bytes]]:
    """The files of some document, signed or not, for `add_document`."""
    pool = written(1, 1.0 if signed else 0.0)
    return {file.type: (file.name, file.body) for file in pool[number % len(pool)] if file.type != "FI"}


@dataclass
class World:
    """Lives through its chapters: something happens at the service, then there is work until nothing waits.

    After a death another engine begins on the same folder, in the same chapter.
    """

    folder: Path
    chapters: Sequence[Chapter]
    options: Options = QUIET
    deal: Deal = lambda number, effect: None
    seed: int = 1
    marked_too: bool = False
    horizon: timedelta = timedelta(minutes=30)
    between: timedelta = timedelta(minutes=1)
    policy: Policy = field(default_factory=lambda: Policy(max_attempts=2))
    lives: int = 0
    begins: list[int] = field(default_factory=list)  # the number of each chapter's first effect
    _is_up: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.fate = Fate()
        self.files = MortalFiles(self.fate)
        self.station = build(
            self.folder,
            self.options,
            wishes={"demo1": SHORT_HISTORY, "demo2": SHORT_HISTORY},
            files=self.files,
            policy=self.policy,
            bounds=Bounds(jobs_in_flight=2),
            wrap=lambda inner: MortalTransport(inner, self.fate, self._witness),
            seed=self.seed,
        )
        self.simulator = self.station.simulator
        self.notary = Notary(self.folder / "archive.db", self.simulator)
        self.station.opened = lambda archive: make_mortal(archive.database, self.fate, self.notary.see_commit)
        self.fate.trace.clear()
        self.fate.deal = self.deal

    @property
    def trace(self) -> list[Effect]:
        return self.fate.trace

    def run(self) -> None:
        """All chapters, whatever befalls; every invariant is watched on the way."""
        for chapter in self.chapters:
            self.station.clock.forward(self.between)
            chapter(self.simulator)
            self.notary.note_versions()
            self.begins.append(len(self.trace))
            while not self._live():
                self.lives += 1
                assert self.lives < MOST_LIVES, "ACK-LIVENESS: it never comes to an end"

    def expect_all_home(self, *, quarantined: Collection[int] = ()) -> None:
        """Every document the service holds is here, byte for byte and once, and the service knows it.

        Those named may stand in quarantine, visibly and with a reason.
        """
        for account in self.simulator.accounts:
            label = account.username
            query = (
                "SELECT d.doc_id, d.state, d.missing_types, d.reason FROM document d "
                f"JOIN account a ON a.id = d.account_id WHERE a.label = '{label}'"
            )
            rows = {row[0]: row[1:] for row in self.notary.rows(query)}
            home = self.notary.home(label)
            for doc_id in self.simulator.ids(label):
                assert doc_id in rows, f"NO-LOSS: {doc_id} was never discovered"
                state, missing, reason = rows[doc_id]
                if state == "quarantined" and doc_id in quarantined:
                    assert reason, f"NO-LOSS: {doc_id} is in quarantine without a reason"
                    continue
                assert state == "acknowledged", f"ACK-LIVENESS: {doc_id} is {state} ({reason})"
                assert doc_id in self.simulator.marked(), f"ACK-LIVENESS: the service was not told of {doc_id}"
                wanted = {file for file in self.notary.truth(doc_id) if file[0] not in str(missing).split(",")}
                assert wanted <= home[doc_id], f"BYTE-IDENTITY: {doc_id} lacks {wanted - home[doc_id]}"
        assert self.notary.told.keys() <= self.notary.requested, "ACK-SUBSET"

    def close(self) -> None:
        self.fate.revive()
        self.notary.close()
        self.station.close()

    def _witness(self, request: httpx.Request) -> None:
        self.notary.see_call(request)

    def _live(self) -> bool:
        """Go on until nothing waits or until death; whether it came to its end."""
        try:
            if not self._is_up:
                self.fate.revive()
                self.station.reopen()
                self._is_up = True
            self._work()
        except (CrashError, Fatal):
            self._is_up = False
        except (Transient, Permanent):  # the start itself met the trouble; whoever started it starts it again
            self._is_up = False
            self.station.clock.forward(timedelta(seconds=10))
        return self._is_up

    def _work(self) -> None:
        """As the crew does: what one effect could not do is tried again a little later, in the same process."""
        for _ in range(MOST_LIVES):
            try:
                settle(self.station, marked_too=self.marked_too, horizon=self.horizon)
            except (Transient, Permanent):
                self.station.clock.forward(timedelta(seconds=2))
            else:
                return
        raise AssertionError("ACK-LIVENESS: the same trouble without end")
