"""What every place for files promises, whatever its kind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.deliver.consignments import CONTENTS, INVOICE, consignment, sha256

from easytracking_sync.deliver.handover import hand_over
from easytracking_sync.deliver.sink import Found, Put, PutSink, prove
from easytracking_sync.errors import SinkRefused

NAME = "IT09876543210/2026-10/IT01234567890_00001.xml"
OTHER = b"other bytes"


def put(sink: PutSink, content: bytes, name: str = NAME) -> Put:
    return sink.put_new(name, content, sha256(content))


def test_a_new_file_is_written_and_read_back(sink: PutSink) -> None:
    assert put(sink, INVOICE) is Put.WRITTEN
    assert sink.read(NAME) == INVOICE
    assert prove(sink, NAME, sha256(INVOICE)) is Found.SAME


def test_putting_the_same_bytes_again_changes_nothing(sink: PutSink) -> None:
    put(sink, INVOICE)
    assert put(sink, INVOICE) is Put.SAME
    assert sink.read(NAME) == INVOICE


def test_other_bytes_are_never_replaced(sink: PutSink) -> None:
    put(sink, OTHER)
    assert put(sink, INVOICE) is Put.OTHER
    assert sink.read(NAME) == OTHER
    assert prove(sink, NAME, sha256(INVOICE)) is Found.OTHER


def test_a_file_that_is_not_there_is_gone(sink: PutSink) -> None:
    assert sink.read(NAME) is None
    assert prove(sink, NAME, sha256(INVOICE)) is Found.GONE


def test_of_two_writers_of_one_name_at_once_one_wins_and_no_bytes_are_mixed(sink: PutSink) -> None:
    contents = [bytes([number]) * 10_000 for number in range(2)]
    with ThreadPoolExecutor(2) as threads:
        puts = list(threads.map(lambda content: put(sink, content), contents))
    assert sink.read(NAME) in contents
    assert Put.WRITTEN in puts


def test_an_empty_file_and_a_long_name_are_delivered(sink: PutSink) -> None:
    name = f"{'f' * 40}/{'è' * 40}.xml.p7m"
    assert put(sink, b"", name) is Put.WRITTEN
    assert sink.read(name) == b""


@pytest.mark.parametrize("name", ["../x.xml", "/x.xml", "a//b.xml", "a/", ".hidden.xml", "a/..", "con", "x\\y", ""])
def test_a_name_that_leaves_the_sink_is_a_bug(sink: PutSink, name: str) -> None:
    with pytest.raises(ValueError, match="safe name"):
        put(sink, INVOICE, name)


def test_bytes_that_do_not_match_their_hash_are_not_delivered(sink: PutSink) -> None:
    with pytest.raises(SinkRefused, match="scrub"):
        sink.put_new(NAME, OTHER, sha256(INVOICE))
    assert sink.read(NAME) is None


def test_a_probe_leaves_nothing(sink: PutSink) -> None:
    assert sink.probe().warnings == ()
    assert sink.probe().warnings == ()


NAMES = ("a.xml", "a_MT.xml", "a.xml.json")


def test_the_sidecar_comes_last_and_a_repetition_gives_the_same_receipts(sink: PutSink) -> None:
    given = consignment()
    first = hand_over(sink, given, NAMES, CONTENTS.__getitem__, with_sidecar=True)
    again = hand_over(sink, given, NAMES, CONTENTS.__getitem__, with_sidecar=True)
    assert [one.name for one in first.files] == list(NAMES)
    assert {one.put for one in first.files} == {Put.WRITTEN}
    assert {one.put for one in again.files} == {Put.SAME}
    assert [one.sha256 for one in again.files] == [one.sha256 for one in first.files]


def test_without_all_files_there_is_no_sidecar(sink: PutSink) -> None:
    """The sidecar tells the receiver that everything is there."""
    put(sink, OTHER, NAMES[1])
    with pytest.raises(SinkRefused, match=r"a_MT\.xml exists at the sink with other content"):
        hand_over(sink, consignment(), NAMES, CONTENTS.__getitem__, with_sidecar=True)
    assert sink.read(NAMES[2]) is None
