"""Accounts whose address is unreachable delay no other account, in the service or in a catch-up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.service.test_service_run import Town, all_marked, eventually, running, town

from easytracking_sync.app import CatchUpRequest, catch_up
from easytracking_sync.machine.listing.threads import MOST_THREADS
from easytracking_sync.settings import Settings

DEAD = "http://127.0.0.1:9"


def with_unreachable_ones(settings: Settings) -> Settings:
    """These accounts, preceded by more unreachable ones than there are listing threads."""
    dead = {
        f"dead{number}": {"username": f"dead{number}", "password": "x", "base_url": DEAD, "auth_base_url": DEAD}
        for number in range(MOST_THREADS + 2)
    }
    unreachable = Settings.model_validate({"accounts": dead}).accounts
    return settings.model_copy(update={"accounts": {**unreachable, **settings.accounts}})


@contextmanager
def town_with_unreachable_accounts(folder: Path) -> Iterator[Town]:
    """A town with one reachable account."""
    with town(folder, accounts=1) as place:
        plain = place.settings
        place.settings = lambda **sync: with_unreachable_ones(plain(**sync))  # type: ignore[method-assign]
        yield place


def test_ten_unreachable_addresses_delay_no_other_account(tmp_path: Path) -> None:
    """A cycle that waits for a retry occupies no thread."""
    with town_with_unreachable_accounts(tmp_path) as place, running(place):
        eventually(lambda: all_marked(place))
        place.simulator.add_document(
            "demo1", {"FA": ("a.xml", b"<a/>"), "MT": ("m.xml", b"<m/>"), "FU": ("u.xml", b"<u/>")}
        )
        eventually(lambda: all_marked(place))


def test_a_catch_up_fetches_from_reachable_accounts_and_names_the_others(tmp_path: Path) -> None:
    with town_with_unreachable_accounts(tmp_path) as place:
        outcome = catch_up(place.settings(), CatchUpRequest(deadline_seconds=6))
        assert all_marked(place)
    assert not outcome.finished
    assert "dead0" in outcome.why_unfinished
    assert "demo1" not in outcome.why_unfinished


def test_a_request_ends_and_reports_a_full_disk(tmp_path: Path) -> None:
    """Below `min_free_bytes` the command does not wait for documents that cannot be fetched."""
    with town(tmp_path) as place:
        short = place.settings().model_copy(
            update={"storage": place.settings().storage.model_copy(update={"min_free_bytes": 10**15})}
        )
        place.settings = lambda **_: short  # type: ignore[method-assign]
        with running(place):
            eventually(lambda: bool(place.simulator.count("list")))
            outcome = catch_up(short, CatchUpRequest(deadline_seconds=25))
    assert outcome.storage_failure is not None
    assert "min_free_bytes" in outcome.storage_failure
