"""Windows and waits: pure arithmetic, tested by properties."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.machine.policy import (
    Policy,
    date_windows,
    history_windows,
    instant,
    local_now,
    received_windows,
)
from easytracking_sync.remote import ListQuery
from easytracking_sync.terms import Window, WindowKind

ROME = ZoneInfo("Europe/Rome")
DAYS_364 = timedelta(days=364)
EARLIEST, LATEST = datetime(2000, 1, 1), datetime(2060, 1, 1)  # noqa: DTZ001  local time is naive here

moments = st.datetimes(EARLIEST, LATEST).map(lambda moment: moment.replace(microsecond=0))
days = st.dates(EARLIEST.date(), LATEST.date())


def covers(windows: tuple[Window, ...], first: datetime, last: datetime) -> bool:
    """No gap, newest first, each short enough for a list with a phase, neighbours sharing exactly one moment."""
    touching = all(newer.start == older.end for newer, older in pairwise(windows))
    short = all(window.end - window.start <= DAYS_364 for window in windows)
    return touching and short and windows[0].end == last and windows[-1].start == first


@given(history_from=days, now=moments)
def test_the_history_is_covered_without_a_gap_up_to_two_days_ahead(history_from: date, now: datetime) -> None:
    """[history_from, now + 2 days]: neighbours touch, none is longer than 364 days, newest first."""
    windows = history_windows(history_from, now)
    first = min(datetime.combine(history_from, time.min), now)
    assert covers(windows, first, now + timedelta(days=2))
    assert all(window.kind is WindowKind.RECEIVED for window in windows)


@given(a=moments, b=moments)
def test_any_stretch_of_time_is_covered_by_as_few_windows_as_can_be(a: datetime, b: datetime) -> None:
    """No window more than the service's bound makes necessary."""
    first, last = sorted((a, b))
    windows = received_windows(first, last)
    assert covers(windows, first, last)
    assert len(windows) == max(1, -((first - last) // DAYS_364))


@given(a=days, b=days)
def test_document_dates_are_covered_in_whole_days(a: date, b: date) -> None:
    """Both ends are days; what the list query takes."""
    first, last = sorted((a, b))
    windows = date_windows(first, last)
    assert covers(windows, datetime.combine(first, time.min), datetime.combine(last, time.min))
    for window in windows:
        assert window.start.time() == window.end.time() == time.min
        assert ListQuery(window, phase1=False).parameters["invoiceDateFrom"] == window.start.date().isoformat()


@given(history_from=days, now=moments)
def test_no_window_is_refused_for_its_length(history_from: date, now: datetime) -> None:
    """The client refuses what the service would: every window passes, with a phase."""
    for window in (*history_windows(history_from, now), *date_windows(min(history_from, now.date()), now.date())):
        assert ListQuery(window, phase1=True).parameters["fase1"] == "true"


@given(kind=st.sampled_from(WindowKind), start=days, steps=st.integers(1, 40_000_000), place=st.floats(0, 1))
def test_halves_miss_nothing(kind: WindowKind, start: date, steps: int, place: float) -> None:
    """Every day lies in exactly one half; every moment of reception, fractions of a second too, in one at least."""
    grain = timedelta(seconds=1) if kind is WindowKind.RECEIVED else timedelta(days=1)
    steps = steps if kind is WindowKind.RECEIVED else steps % 400 + 1
    begin = datetime.combine(start, time.min)
    window = Window(kind, begin, begin + grain * steps)
    halves = window.halves()
    assert halves is not None
    early, late = halves
    assert (early.start, late.end) == (window.start, window.end)
    assert early.end - early.start < window.end - window.start > late.end - late.start
    touching = kind is WindowKind.RECEIVED and steps > 1
    assert late.start - early.end == (timedelta(0) if touching else grain)
    moment = begin + grain * (place * steps if touching else round(place * steps))
    assert early.holds(moment) + late.holds(moment) == (2 if touching and moment == early.end else 1)


@pytest.mark.parametrize(("kind", "grain"), [(WindowKind.RECEIVED, 1), (WindowKind.DOCUMENT_DATE, 86_400)])
def test_halving_goes_down_to_a_single_grain_and_no_further(kind: WindowKind, grain: int) -> None:
    """The leaves of a window of 100 grains are its 101 single seconds (or days); where halves touch, twice."""
    begin = datetime(2024, 2, 20)  # noqa: DTZ001
    window = Window(kind, begin, begin + timedelta(seconds=100 * grain))

    def leaves(part: Window) -> list[Window]:
        halves = part.halves()
        return [part] if halves is None else [leaf for half in halves for leaf in leaves(half)]

    found = leaves(window)
    assert sorted({leaf.start for leaf in found}) == [begin + timedelta(seconds=step * grain) for step in range(101)]
    assert kind is WindowKind.RECEIVED or len(found) == 101
    assert all(leaf.start == leaf.end for leaf in found)


def test_a_window_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        Window(WindowKind.RECEIVED, LATEST, EARLIEST)


@given(moment=st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC)))
def test_the_newest_window_holds_what_arrives_now_whatever_the_season(moment: datetime) -> None:
    """Local reception times of this second, and of a clock a day ahead or behind, are inside; DST or not."""
    windows = history_windows(date(2000, 1, 1), local_now(moment, ROME))
    for skew in (timedelta(), timedelta(days=1), timedelta(hours=-1)):
        received = local_now(moment + skew, ROME)
        assert any(window.holds(received) for window in windows) or received < windows[-1].start


@pytest.mark.parametrize(
    ("utc", "local"),
    [
        ("2026-03-29 00:59:59", "2026-03-29 01:59:59"),
        ("2026-03-29 01:00:00", "2026-03-29 03:00:00"),  # the hour between does not exist
        ("2026-10-25 00:30:00", "2026-10-25 02:30:00"),
        ("2026-10-25 01:30:00", "2026-10-25 02:30:00"),  # the same hour once more
        ("2026-10-25 02:30:00", "2026-10-25 03:30:00"),
    ],
)
def test_local_time_at_clock_changes(utc: str, local: str) -> None:
    """CLOCK-SAFE: the naive time on the service's wall, to the second."""
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC, microsecond=999_999)
    assert local_now(moment, ROME) == datetime.fromisoformat(local)


def test_an_ambiguous_local_time_means_the_earlier_instant() -> None:
    """2:30 in the night the clocks go back is first reached in summer time; without a change, there and back."""
    twice = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001
    assert instant(twice, ROME) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    noon = datetime(2026, 7, 1, 12, 0)  # noqa: DTZ001
    assert local_now(instant(noon, ROME), ROME) == noon


def test_the_night_the_clocks_go_back_is_listed_whole() -> None:
    """Naive windows do not skip the hour that comes twice: halved to seconds, every one of them is asked for."""
    night = Window(WindowKind.RECEIVED, datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 2, 59, 59))  # noqa: DTZ001
    early, late = night.halves() or pytest.fail("an hour can be halved")
    assert early.end == late.start
    windows = history_windows(date(2026, 1, 1), local_now(datetime(2026, 10, 25, 1, 30, tzinfo=UTC), ROME))
    assert windows[0].holds(night.start)
    assert windows[0].holds(night.end)


@given(attempts=st.integers(1, 1000), jitter=st.floats(0, 1, exclude_max=True))
def test_documents_wait_like_batches_and_daily_once_given_up(attempts: int, jitter: float) -> None:
    """Below `max_attempts`: full jitter under the cap. From it on: a day."""
    policy = Policy(jitter=jitter)
    wait = policy.document_retry(attempts)
    if attempts >= policy.max_attempts:
        assert wait == 86_400
    else:
        assert wait == pytest.approx(jitter * min(300.0, 2.0 ** (attempts - 1)))


@given(losses=st.integers(0, 10_000))
def test_no_deadline_outlives_a_job(losses: int) -> None:
    """A job is gone after 24 hours (section 5)."""
    deadlines = [Policy().deadline(count) for count in (losses, losses + 1)]
    assert deadlines == sorted(deadlines)
    assert all(3600 <= deadline <= 23 * 3600 for deadline in deadlines)
