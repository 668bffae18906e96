"""Jobs: reserved, ready after a while, answered once, gone after 24 hours in any case (sections 5 to 7)."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Job:
    """A reservation of documents' files. `types` are FA, MT, FU, FI."""

    id: str
    account: str
    ids: tuple[int, ...]
    types: frozenset[str]
    created_at: datetime
    ready_at: datetime


class Jobs:
    """The open jobs. GUIDs and durations depend on the seed."""

    def __init__(self, seed: int, seconds: float) -> None:
        self._rng = random.Random(f"{seed}/jobs")
        self._seconds = seconds
        self._open: dict[str, Job] = {}

    def reserve(self, account: str, ids: tuple[int, ...], types: frozenset[str], now: datetime) -> Job:
        self._forget(now)
        guid = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        takes = timedelta(seconds=self._seconds * (0.5 + self._rng.random()))
        self._open[guid] = job = Job(guid, account, ids, types, now, now + takes)
        return job

    def find(self, guid: str, account: str, now: datetime) -> Job | None:
        """The account's job, if it is open."""
        self._forget(now)
        job = self._open.get(guid.lower())
        return job if job and job.account == account else None

    def reset(self, job: Job) -> None:
        """Close the job, because it was answered or is lost."""
        self._open.pop(job.id, None)

    def open(self, account: str | None = None) -> tuple[Job, ...]:
        return tuple(job for job in self._open.values() if account in {None, job.account})

    def _forget(self, now: datetime) -> None:
        for job in [job for job in self._open.values() if now >= job.created_at + LIFE]:
            del self._open[job.id]
