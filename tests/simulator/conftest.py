"""A simulator with a manual clock, and a desk that sends it requests."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from easytracking_simulator import Options, Reply, Request, Simulator

NOON = datetime(2024, 6, 3, 10, 0, tzinfo=UTC)
SERVICE = "/api/v10/DownloadInvoices"
PHASES = "/api/v10/PassiveInvoices"


class ManualClock:
    """Time that only tests advance."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def forward(self, **how_far: float) -> None:
        self._now += timedelta(**how_far)


class Desk:
    """One account's user, whose requests follow the vendor's document."""

    def __init__(self, simulator: Simulator, clock: ManualClock, account: int = 0) -> None:
        self.simulator = simulator
        self.clock = clock
        self.account = simulator.accounts[account]
        self.headers = {"Content-Type": "application/json", "Accept": "application/json"}

    def login(self, **changes: Any) -> Reply:
        """Request a token, and use it from now on if it is issued."""
        options = self.simulator.options
        given = {
            "apiName": options.api_name, "clientName": options.client_name, "clientSecret": options.client_secret,
            "password": self.account.password, "username": self.account.username,
        }  # fmt: skip
        reply = self.post("/api/Token/AccessToken", given | changes)
        if reply.status == 200:
            self.headers["Authorization"] = f"Bearer {reply.json()}"
        return reply

    def get(self, path: str, **query: str) -> Reply:
        return self.simulator.answer(Request("GET", path, urlencode(query), self.headers))

    def post(self, path: str, payload: Any) -> Reply:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.simulator.answer(Request("POST", path, "", self.headers, body))

    def invoices(self, **query: str) -> Reply:
        return self.get(f"{SERVICE}/passive-invoices", **query)

    def listed(self, **query: str) -> list[int]:
        """The listed ids; the list must succeed."""
        reply = self.invoices(**query)
        assert reply.status == 200, reply.body
        return [element["id"] for element in reply.json()["invoices"]]

    def reserve(self, ids: Any, **choices: Any) -> Reply:
        path = "jobs-select-type" if choices else "jobs"
        return self.post(f"{SERVICE}/{path}", {"docIds": ids, **choices})

    def fetch(self, job_id: str) -> Reply:
        return self.get(f"{SERVICE}/jobs/{job_id}")

    def phase(self, verb: str, ids: Any) -> Reply:
        return self.post(f"{PHASES}/{verb}", {"docIds": ids})

    def brought(self, ids: Any, **choices: Any) -> Reply:
        """Reserve, wait until the job is ready, fetch."""
        job_id = self.reserve(ids, **choices).json()["jobId"]
        self.clock.forward(minutes=1)
        return self.fetch(job_id)


def opened(reply: Reply) -> zipfile.ZipFile:
    """The parcel of a fetch."""
    return zipfile.ZipFile(io.BytesIO(reply.body))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def desk_with(clock: ManualClock) -> Callable[..., Desk]:
    """A logged-in desk at a new simulator with these options."""

    def make(**options: Any) -> Desk:
        chosen: dict[str, Any] = {"documents": 12, "p7m_share": 0.0, "history_days": 300.0, **options}
        desk = Desk(Simulator(Options(**chosen), clock), clock)
        desk.login()
        return desk

    return make


@pytest.fixture
def desk(desk_with: Callable[..., Desk]) -> Desk:
    return desk_with()


@pytest.fixture
def parcel() -> Callable[[Reply], zipfile.ZipFile]:
    return opened
