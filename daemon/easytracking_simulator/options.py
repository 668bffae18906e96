"""The options of a simulated service: its size, its age, and its behaviour where the vendor's document is silent."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from easytracking_simulator.faults import Faults


class Clock(Protocol):
    """The simulator's time: aware UTC. It may jump."""

    def now(self) -> datetime: ...


class Counts(StrEnum):
    """Whether a number counts all matching documents, or only those that `top` leaves in the answer."""

    MATCH = "match"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a simulator. Shares are in [0, 1]."""

    documents: int = 200  # in all accounts together, received before `until`
    accounts: int = 1  # user names demo1, demo2, …
    seed: int = 1
    history_days: float = 800.0  # reception times are spread over so many days before `until`
    until: datetime | None = None  # aware; None: the simulator's start
    timezone: str = "Europe/Rome"  # of dataRicezione
    first_id: int = 4_574_622

    arrivals_per_minute: float = 0.0  # new documents, by the clock
    job_seconds: float = 2.0  # mean; a job takes 0.5 to 1.5 times as long
    token_seconds: float = 3600.0

    p7m_share: float = 0.35  # of the Italian documents: signed originals
    romania_share: float = 0.05  # UBL documents of countryChannel 1
    intermediary_share: float = 0.1  # documents that have an FI file
    long_share: float = 0.03  # invoices of hundreds of lines
    attachment_share: float = 0.005  # invoices that carry an attachment
    max_attachment_bytes: int = 3_000_000

    list_cap: int = 100_000  # above it: 413
    cap_counts: Counts = Counts.MATCH
    total_counts: Counts = Counts.ANSWER
    range_required: bool = False  # 400 for a list without a range
    inclusive_day_count: bool = False  # the strict reading: both end days count towards 31 and 365
    shuffled: bool = False  # lists in random order, so `top` cuts at random
    repeated_phase_status: int = 200  # the answer of set-fase if every document is already marked
    compress: bool = True  # gzip the list for clients that accept it

    api_name: str = "openBusiness.scope.serviziweb.api"
    client_name: str = "openBusiness.client.serviziweb.api"
    client_secret: str = "uKNtPmq49yjLkaYv"  # noqa: S105  published in section 3 of the document
    faults: Faults = field(default_factory=Faults)
