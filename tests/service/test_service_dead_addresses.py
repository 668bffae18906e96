"""Accounts whose address is dead: however many, they keep no other from being listed, here or by a one-shot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.service.test_service_run import Town, all_marked, eventually, running, town

from easytracking_sync.app import CatchUpRequest, catch_up
from easytracking_sync.machine.listing.threads import MOST_THREADS
from easytracking_sync.settings import Settings

DEAD = "http://127.0.0.1:9"


def with_dead_ones(settings: Settings) -> Settings:
    """The same accounts, after more dead addresses than there are threads that list."""
    dead = {
        f"dead{number}": {"username": f"dead{number}", "password": "x", "base_url": DEAD, "auth_base_url": DEAD}
        for number in range(MOST_THREADS + 2)
    }
    ghosts = Settings.model_validate({"accounts": dead}).accounts
    return settings.model_copy(update={"accounts": {**ghosts, **settings.accounts}})


@contextmanager
def haunted(folder: Path) -> Iterator[Town]:
    """A town with one account that is alive."""
    with town(folder, accounts=1) as place:
        plain = place.settings
        place.settings = lambda **sync: with_dead_ones(plain(**sync))  # type: ignore[method-assign]
        yield place


def test_ten_dead_addresses_keep_no_account_from_its_cycles(tmp_path: Path) -> None:
    """Not even those whose turn comes after theirs: a list that waits for an answer waits without a thread."""
    with haunted(tmp_path) as place, running(place):
        eventually(lambda: all_marked(place))
        place.simulator.add_document(
            "demo1", {"FA": ("a.xml", b"<a/>"), "MT": ("m.xml", b"<m/>"), "FU": ("u.xml", b"<u/>")}
        )
        eventually(lambda: all_marked(place))


def test_a_one_shot_brings_home_what_can_be_reached_and_names_what_cannot(tmp_path: Path) -> None:
    with haunted(tmp_path) as place:
        outcome = catch_up(place.settings(), CatchUpRequest(deadline_seconds=6))
        assert all_marked(place)
    assert not outcome.finished
    assert "dead0" in outcome.why_unfinished
    assert "demo1" not in outcome.why_unfinished


def test_a_request_the_service_has_no_room_for_ends_and_says_so(tmp_path: Path) -> None:
    """`min_free_bytes`: whoever asked is not left waiting for documents that cannot move."""
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
