"""For any input, only the project's own errors escape, in bounded memory and time.

Each target processes its seeds, mutated seeds, and random bytes. `make fuzz` runs longer.
"""

from __future__ import annotations

import time
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.mutations import spoilt
from tests.fuzz.run import TooSlowError, within_bounds
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import TARGETS, target_named

MOST_SECONDS = 2.0
MOST_BYTES = 256 << 20


def meet(target: str, data: bytes) -> None:
    """One input; AssertionError where it takes longer than it may. Seconds of this thread's own work: others share
    the machine."""
    taken = target_named(target)
    begun = time.thread_time()
    taken(data)
    assert time.thread_time() - begun <= MOST_SECONDS, f"{target} takes too long"


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_is_processed_in_bounded_memory_and_time(target: str) -> None:
    """BOUNDED: at most 2 seconds and 256 MiB per input."""
    taken = target_named(target)
    taken(b"")  # exclude what is loaded only once
    for data in SEEDS[target]():
        tracemalloc.start()
        try:
            meet(target, data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak <= MOST_BYTES


@pytest.mark.parametrize("target", TARGETS)
@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_seeds_are_accepted_or_refused(target: str, data: st.DataObject) -> None:
    """Seeds with pieces removed, repeated, swapped and overwritten."""
    meet(target, data.draw(spoilt(SEEDS[target]())))


@pytest.mark.parametrize("target", TARGETS)
@given(st.binary(max_size=600))
@settings(max_examples=30)
def test_random_bytes_are_accepted_or_refused(target: str, raw: bytes) -> None:
    meet(target, raw)


BOTTOMLESS = {
    "listing": b'{"invoices": [' + b"[" * 200_000,
    "index": b'{"files": ' + b"[" * 200_000,
    "token": b"[" * 200_000,
    "configuration": b"x = " + b"[" * 100_000,
    "invoice": b"<FatturaElettronica>" + b"<a>" * 100_000,
    "envelope": b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" + b"\xa0\x80\x30\x80" * 20_000,
}


@pytest.mark.parametrize("target", BOTTOMLESS)
def test_deep_nesting_is_refused(target: str) -> None:
    meet(target, BOTTOMLESS[target])


def test_an_input_that_takes_too_long_is_stopped_and_reported() -> None:
    """`make fuzz` relies on it: no code of the program can catch it."""

    def endless(data: bytes) -> None:
        while True:
            with suppress(Exception):
                data += b"."

    with pytest.raises(TooSlowError):
        within_bounds(endless, seconds=0.05)(b"")
