"""The dry run: accounts that do not answer delay it once, and a deadline ends it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import httpx
from tests.support.harness import Recorder, VirtualClock

from easytracking_sync.app import CatchUpOutcome, CatchUpRequest, catch_up
from easytracking_sync.app.catch_up.dry_run import PATIENCE_SECONDS
from easytracking_sync.effects import Effects
from easytracking_sync.settings import Settings

ALIVE = {"invoices": [{"id": 7, "dataRicezione": "2026-11-01T10:00:00"}], "total": 1}


class Network(httpx.BaseTransport):
    """Services of which those called `dead…` have no address; each call of the others takes `call_seconds`."""

    def __init__(self, clock: VirtualClock, call_seconds: float = 0.0) -> None:
        self._clock = clock
        self._call_seconds = call_seconds

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/dead"):
            raise httpx.ConnectError("refused", request=request)
        self._clock.wait(NEVER, self._call_seconds)
        return httpx.Response(200, json="token" if "Token" in request.url.path else ALIVE, request=request)


class NeverSet:
    """Nobody stops the wait."""

    def is_set(self) -> bool:
        return False


NEVER: Any = NeverSet()


def dry_run(folder: Path, labels: list[str], clock: VirtualClock, network: Network, **asked: Any) -> CatchUpOutcome:
    """A dry run over accounts of these labels."""
    tree: dict[str, Any] = {
        "database": {"url": f"sqlite:///{folder}/archive.db"},
        "accounts": {
            label: {
                "base_url": f"http://127.0.0.1:9/{label}",
                "auth_base_url": f"http://127.0.0.1:9/{label}",
                "username": label,
                "password": "secret",
                "history_from": "2026-06-01",
            }
            for label in labels
        },
    }
    effects = Effects(clock=clock, dice=random.Random(1), network=network)
    request = CatchUpRequest(dry_run=True, **asked)
    return catch_up(Settings.model_validate(tree), request, effects=effects, observer=Recorder())


def test_after_one_account_that_does_not_answer_the_others_are_tried_once(tmp_path: Path) -> None:
    clock = VirtualClock()
    begun = clock.monotonic()
    outcome = dry_run(tmp_path, ["dead1", "dead2", "alive", "dead3"], clock, Network(clock))
    assert outcome.would_fetch == {"dead1": 0, "dead2": 0, "alive": 1, "dead3": 0}
    assert not outcome.finished
    assert [label for label in ("dead1", "dead2", "alive", "dead3") if label in outcome.why_unfinished] == [
        "dead1",
        "dead2",
        "dead3",
    ]
    assert PATIENCE_SECONDS <= clock.monotonic() - begun < 2 * PATIENCE_SECONDS


def test_a_deadline_is_for_all_accounts_together(tmp_path: Path) -> None:
    clock = VirtualClock()
    begun = clock.monotonic()
    outcome = dry_run(tmp_path, ["dead1", "dead2", "dead3"], clock, Network(clock), deadline_seconds=300.0)
    assert not outcome.finished
    assert 300 <= clock.monotonic() - begun < 310


def test_a_deadline_ends_a_list_that_is_not_complete(tmp_path: Path) -> None:
    clock = VirtualClock()
    outcome = dry_run(tmp_path, ["slow"], clock, Network(clock, 20.0), deadline_seconds=30.0)
    assert outcome.why_unfinished == "the deadline passed; the list is not complete"
