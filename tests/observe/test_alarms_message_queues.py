"""Every channel has its own bounded queue, retries refused messages, and delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.support.harness import Recorder, VirtualClock

from easytracking_sync.errors import UsageError
from easytracking_sync.observe.alarms import apprise_channels as channels_module
from easytracking_sync.observe.alarms.apprise_channels import open_channels
from easytracking_sync.observe.alarms.message_queues import MOST_WAITING, PAUSES, MessageQueues, QueuedMessage
from easytracking_sync.observe.alarms.messages import Message, Tone

MESSAGE = Message("title", "body", Tone.INFO)


@dataclass
class Fake:
    """A channel that does what it is told to."""

    answers: list[str | Exception] = field(default_factory=list)
    name: str = "fake://example.com"
    sent: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> str:
        answer = self.answers.pop(0) if self.answers else ""
        if isinstance(answer, Exception):
            raise answer
        if not answer:
            self.sent.append(message)
        return answer


@dataclass
class Hanging:
    """A channel that never answers until it is let go."""

    name: str = "hanging://example.com"
    go: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)

    def send(self, message: Message) -> str:
        self.entered.set()
        assert self.go.wait(30)
        return ""


@contextmanager
def post(*channels: Any) -> Iterator[tuple[MessageQueues, Recorder]]:
    observer = Recorder()
    made = MessageQueues(channels, VirtualClock(), observer)
    try:
        yield made, observer
    finally:
        made.stop()


def eventually(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        threading.Event().wait(0.005)


def test_a_message_goes_to_every_channel_and_is_accepted_once_by_each() -> None:
    one, two = Fake(), Fake()
    with post(one, two) as (made, observer):
        queued = QueuedMessage(MESSAGE, began=("disk",))
        made.put(queued)
        eventually(lambda: len(one.sent) == len(two.sent) == 1 and len(observer.named("alert.sent")) == 2)
        assert made.accepted() == [queued, queued]
        assert made.accepted() == []


def test_a_failed_message_is_tried_again_then_given_up_and_logged_without_the_address() -> None:
    channel = Fake(["busy", ValueError("s3cret"), *(["busy"] * (len(PAUSES) - 1)), ""])
    with post(channel) as (made, observer):
        made.put(QueuedMessage(MESSAGE))
        eventually(lambda: bool(observer.named("alert.refused")))
        made.put(QueuedMessage(MESSAGE))
        eventually(lambda: bool(channel.sent))
        assert len(made.accepted()) == 1
    assert [facts["reason"] for facts in observer.named("alert.failed")] == [
        "busy",
        "ValueError",
        "busy",
        "busy",
        "busy",
    ]
    assert "s3cret" not in str(observer.notes)


def test_a_hanging_channel_delays_no_other_and_loses_messages_when_its_queue_is_full() -> None:
    hanging, well = Hanging(), Fake()
    with post(hanging, well) as (made, observer):
        begun = time.monotonic()
        for _ in range(MOST_WAITING + 5):
            made.put(QueuedMessage(MESSAGE))
            eventually(lambda: bool(made.accepted()))
        assert time.monotonic() - begun < 10
        assert len(well.sent) == MOST_WAITING + 5
        assert hanging.entered.is_set()
        assert len(observer.named("alert.dropped")) >= 4
        hanging.go.set()


def test_waiting_for_the_queues_is_bounded() -> None:
    hanging = Hanging()
    with post(hanging) as (made, _):
        made.put(QueuedMessage(MESSAGE))
        assert not made.join(3.0), "the clock is virtual: nobody waited"
        hanging.go.set()
        eventually(lambda: made.join(0.0))


def test_without_apprise_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "EXTRA", "a_package_that_nobody_has")
    assert open_channels([]) == ()
    with pytest.raises(UsageError, match=r"easytracking-sync\[alerts\]"):
        open_channels(["json://127.0.0.1/"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what apprise imports
def test_an_unknown_address_is_named_by_its_number_without_its_secret() -> None:
    pytest.importorskip("apprise")
    with pytest.raises(UsageError, match=r"number 2 \(nonsense://\*+\)") as caught:
        open_channels(["json://127.0.0.1/", "nonsense://s3cret/"])
    assert "s3cret" not in str(caught.value)
