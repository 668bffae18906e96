"""The simulator's faults: the service's side of the fault matrix."""

from __future__ import annotations

import io
import json
import stat
import zipfile
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from easytracking_simulator import (
    Fault,
    Faults,
    Kind,
    Rate,
    Reply,
    Tear,
    TearKind,
    bad_zip,
    lost,
    odd_element,
    random_faults,
    status,
    torn,
)
from easytracking_simulator.listing import ELEMENT_FAULTS
from easytracking_simulator.zip_faults import ZIP_FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Desk

MEBIBYTE = 1 << 20


def index_of(reply: Reply) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(zipfile.ZipFile(io.BytesIO(reply.body)).read("indice.json"))["files"]
    return rows


@pytest.fixture
def spoilt(desk: Desk) -> Callable[..., Reply]:
    """The reply to a fetch of three documents with a fault in the first one's files."""

    def fetch(variety: str, size: int = 0) -> Reply:
        ids = desk.listed()[:3]
        desk.simulator.script("fetch", bad_zip(variety, ids[0], size=size))
        return desk.brought(ids)

    return fetch


@pytest.mark.parametrize("call", ["list", "reserve", "fetch", "acknowledge", "token"])
@pytest.mark.parametrize("after", ["5", "Wed, 21 Oct 2015 07:28:00 GMT", "absurd", None])
def test_every_call_can_be_answered_with_another_status(desk: Desk, call: str, after: str | None) -> None:
    ids = desk.listed()
    job_id = desk.reserve(ids).json()["jobId"]
    calls: dict[str, Callable[[], Reply]] = {
        "list": desk.invoices,
        "reserve": lambda: desk.reserve(ids),
        "fetch": lambda: desk.fetch(job_id),
        "acknowledge": lambda: desk.phase("set-fase-1", ids),
        "token": desk.login,
    }
    desk.simulator.script(call, status(503, retry_after=after))
    spoilt, sound = calls[call](), calls[call]()
    assert (spoilt.status, spoilt.header("Retry-After")) == (503, after or "")
    assert sound.status in {200, 202}


def test_scripted_faults_are_applied_once_in_order(desk: Desk) -> None:
    desk.simulator.script("list", status(500), times=2)
    desk.simulator.script("list", None)
    desk.simulator.script("any", status(401))
    assert desk.simulator.scripted() == 4
    assert [desk.invoices().status for _ in range(5)] == [500, 500, 200, 401, 200]
    assert desk.simulator.scripted() == 0


def test_a_scripted_fault_can_be_limited_to_one_account(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(accounts=2)
    desk.simulator.script("list", status(500), account="demo2")
    assert desk.invoices().status == 200
    desk.account = desk.simulator.accounts[1]
    desk.login()
    assert desk.invoices().status == 500


def test_the_group_any_excludes_the_token_call(desk: Desk) -> None:
    desk.simulator.script("any", status(500))
    assert desk.login().status == 200


@pytest.mark.parametrize("fault", [status(403), lost(), torn(5), Fault(kind=Kind.PENDING), bad_zip("bad-crc")])
@pytest.mark.parametrize("call", ["nonsense", "list"])
def test_scripting_an_impossible_fault_is_refused(desk: Desk, call: str, fault: Fault) -> None:
    if call == "nonsense" or fault.kind in {Kind.PENDING, Kind.ZIP}:
        with pytest.raises(ValueError, match=r"no such call|can come to fetch only"):
            desk.simulator.script(call, fault)
    else:
        desk.simulator.script(call, fault)
        assert desk.simulator.scripted() == 1


@pytest.mark.parametrize("fault", [bad_zip("bad-weather"), odd_element("bad-weather")])
def test_an_unknown_variety_is_refused(desk: Desk, fault: Fault) -> None:
    with pytest.raises(ValueError, match="bad-weather"):
        desk.simulator.script("any", fault)
    with pytest.raises(ValueError, match="bad-weather"):
        desk.simulator.faults = Faults(always={"any": fault})


@pytest.mark.parametrize(
    ("fault", "applied"), [(lost(), "yes"), (status(500), "no"), (status(500, applied=True), "yes")]
)
def test_a_mark_can_take_effect_without_an_answer(desk: Desk, fault: Fault, applied: str) -> None:
    ids = desk.listed()
    desk.simulator.script("acknowledge", fault)
    desk.phase("set-fase-1", ids)
    assert (desk.simulator.marked() == set(ids)) is (applied == "yes")


@pytest.mark.parametrize("kind", [Kind.UNREACHABLE, Kind.TIMEOUT])
def test_a_call_that_does_not_arrive_has_no_effect(desk: Desk, kind: Kind) -> None:
    desk.simulator.script("reserve", Fault(kind=kind, seconds=3.0))
    reply = desk.reserve(desk.listed())
    assert reply.fault
    assert (reply.fault.kind, reply.fault.seconds) == (TearKind(kind.value), 3.0)
    assert not desk.simulator.open_jobs()
    assert desk.simulator.count("reserve", status=0) == 1


def test_a_lost_reservation_leaves_an_orphan_job(desk: Desk) -> None:
    desk.simulator.script("reserve", lost())
    assert desk.reserve(desk.listed()).fault == Tear(TearKind.LOST, 0, 30.0)
    assert len(desk.simulator.open_jobs()) == 1


@pytest.mark.parametrize("at", [0, 1, 1000, -1, None])
@pytest.mark.parametrize("kind", [TearKind.CUT, TearKind.SHORT])
def test_a_torn_parcel_uses_up_its_job(desk: Desk, at: int | None, kind: TearKind) -> None:
    desk.simulator.script("fetch", torn(at, framed=kind is TearKind.CUT))
    job_id = desk.reserve(desk.listed()).json()["jobId"]
    assert desk.fetch(job_id).status == 202
    desk.clock.forward(minutes=1)
    reply = desk.fetch(job_id)
    assert reply.fault
    assert reply.fault.kind is kind
    wanted = {None: reply.fault.at, -1: len(reply.body) - 1}.get(at, at)
    assert (reply.status, len(reply.arriving())) == (200, wanted)
    assert desk.fetch(job_id).status == 403


def test_a_job_can_stay_pending_or_expire(desk: Desk) -> None:
    job_id = desk.reserve(desk.listed()).json()["jobId"]
    desk.clock.forward(minutes=1)
    desk.simulator.faults = Faults(always={"fetch": Fault(kind=Kind.PENDING)})
    assert {desk.fetch(job_id).status for _ in range(5)} == {202}
    desk.simulator.faults = Faults(always={"fetch": Fault(kind=Kind.EXPIRED)})
    assert desk.fetch(job_id).status == 403
    desk.simulator.clear_faults()
    assert desk.fetch(job_id).status == 403


def test_refused_and_unmarkable_ids_are_403(desk: Desk) -> None:
    bad, worse, *good = desk.listed()
    desk.simulator.faults = Faults(refused=frozenset({bad}), unmarkable=frozenset({worse}))
    assert [desk.reserve([bad, *good]).status, desk.reserve([worse, *good]).status] == [403, 202]
    assert [desk.phase("set-fase-1", [worse]).status, desk.phase("set-fase-1", [bad, *good]).status] == [403, 200]


def test_all_documents_can_be_refused(desk: Desk) -> None:
    ids = desk.listed()
    desk.simulator.faults = Faults(always={"reserve": status(403), "phase": status(403)})
    assert {desk.reserve(ids).status, desk.phase("set-fase-2", ids).status} == {403}


def test_an_acknowledged_document_can_still_be_listed(desk: Desk) -> None:
    first, second, *others = desk.listed()
    desk.simulator.faults = Faults(still_listed=frozenset({first}))
    desk.phase("set-fase-1", [first, second])
    assert desk.listed(fase1="false") == [first, *others]


def test_the_cap_can_be_lowered_at_run_time(desk: Desk) -> None:
    desk.simulator.faults = Faults(list_cap=3)
    assert desk.invoices().status == 413


@pytest.mark.parametrize(
    ("fault", "said"),
    [(Fault(kind=Kind.EMPTY_LIST), (0, 0)), (Fault(kind=Kind.TOTAL_ABOVE), (12, 13)),
     (Fault(kind=Kind.TOTAL_ABOVE, size=7), (12, 19))],
)  # fmt: skip
def test_a_list_can_state_a_wrong_total(desk: Desk, fault: Fault, said: tuple[int, int]) -> None:
    desk.simulator.script("list", fault)
    answer = desk.invoices().json()
    assert (len(answer["invoices"]), answer["total"]) == said


@pytest.mark.parametrize("variety", [name for name in ELEMENT_FAULTS if name != "twice"])
def test_an_odd_element_does_not_affect_the_others(desk: Desk, variety: str) -> None:
    before = desk.invoices().json()["invoices"]
    desk.simulator.script("list", odd_element(variety, before[4]["id"]))
    after = desk.invoices().json()["invoices"]
    assert after[4] != before[4]
    assert after[:4] + after[5:] == before[:4] + before[5:]


def test_an_element_can_be_listed_twice(desk: Desk) -> None:
    ids = desk.listed()
    desk.simulator.script("list", odd_element("twice", ids[0]))
    assert desk.listed() == [ids[0], *ids]


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (Fault(kind=Kind.EMPTY), b""),
        (Fault(kind=Kind.BODY, body=b'{"invoices": 7}'), b'{"invoices": 7}'),
        (Fault(kind=Kind.TRUNCATED, at=9), b'{"invoice'),
    ],
)
def test_a_body_can_be_replaced(desk: Desk, fault: Fault, body: bytes) -> None:
    desk.simulator.script("list", fault)
    reply = desk.invoices()
    assert (reply.status, reply.body, reply.fault) == (200, body, None)
    assert reply.header("Content-Type").startswith("application/json")


def test_an_html_page_can_be_sent_with_200(desk: Desk) -> None:
    desk.simulator.script("list", Fault(kind=Kind.HTML))
    reply = desk.invoices()
    assert (reply.status, reply.header("Content-Type")) == (200, "text/html; charset=utf-8")


def test_a_document_can_spoil_every_parcel_that_holds_it(desk: Desk) -> None:
    bad, *good = desk.listed()
    desk.simulator.faults = Faults(spoilt={bad: bad_zip("bad-crc", bad)})
    for _ in range(2):
        with pytest.raises(zipfile.BadZipFile):
            zipfile.ZipFile(io.BytesIO(desk.brought([*good, bad]).body)).read(desk.simulator.files(bad)[0].name)
    assert zipfile.ZipFile(io.BytesIO(desk.brought(good).body)).testzip() is None


# Parcels


def test_a_parcel_of_another_batch_holds_none_of_the_documents(desk: Desk, spoilt: Callable[..., Reply]) -> None:
    asked = set(desk.listed()[:3])
    assert asked.isdisjoint(row["id"] for row in index_of(spoilt("other-batch")))


@pytest.mark.parametrize(
    ("variety", "counts"),
    [("missing", [0, 3, 3]), ("twice", [6, 3, 3]), ("unindexed", [2, 3, 3]), ("extra", [3, 3, 3, 3])],
)
def test_the_index_can_omit_and_repeat_documents(
    desk: Desk, spoilt: Callable[..., Reply], variety: str, counts: list[int]
) -> None:
    named = [row["id"] for row in index_of(spoilt(variety))]
    ids = [*desk.listed()[:3], *(set(named) - set(desk.listed()[:3]))]
    assert [named.count(doc_id) for doc_id in ids] == counts


def test_a_parcel_can_be_empty(spoilt: Callable[..., Reply]) -> None:
    assert zipfile.ZipFile(io.BytesIO(spoilt("nothing").body)).namelist() == []


@pytest.mark.parametrize(
    ("variety", "name", "start"),
    [
        ("index-bom", "indice.json", b"\xef\xbb\xbf{"),
        ("index-upper", "INDICE.JSON", b"{"),
        ("folder", "fatture/indice.json", b"{"),
        ("backslashes", "fatture\\indice.json", b"{"),
        ("index-empty", "indice.json", b'{"files": []}'),
        ("index-odd-rows", "indice.json", b'{"files": [null, 7'),
    ],
)
def test_the_index_can_have_another_name_and_encoding(
    spoilt: Callable[..., Reply], variety: str, name: str, start: bytes
) -> None:
    contents = zipfile.ZipFile(io.BytesIO(spoilt(variety).body))
    (entry,) = [info for info in contents.infolist() if info.orig_filename.lower().endswith("indice.json")]
    assert entry.orig_filename == name
    assert contents.read(entry).startswith(start)


def test_the_index_can_be_missing_cut_or_written_with_text_ids(spoilt: Callable[..., Reply]) -> None:
    assert "indice.json" not in zipfile.ZipFile(io.BytesIO(spoilt("no-index").body)).namelist()
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        index_of(spoilt("index-cut"))
    assert {type(row["id"]) for row in index_of(spoilt("index-text-ids"))} == {str}


def test_an_indexed_file_can_be_absent_and_a_file_unindexed(spoilt: Callable[..., Reply]) -> None:
    absent, stray = spoilt("absent"), spoilt("stray")
    names = zipfile.ZipFile(io.BytesIO(absent.body)).namelist()
    assert len([row for row in index_of(absent) if row["fileName"] not in names]) == 1
    assert "leggimi.txt" in zipfile.ZipFile(io.BytesIO(stray.body)).namelist()


def test_names_can_collide_across_documents_and_within_one(spoilt: Callable[..., Reply]) -> None:
    across, within = index_of(spoilt("same-name")), index_of(spoilt("same-name-within"))
    assert len({row["id"] for row in across if row["fileName"] == across[0]["fileName"]}) == 2
    assert [row["fileName"] for row in within[:3]] == [within[0]["fileName"]] * 3


NAMES = {
    "traversal": "../../../../etc/", "windows-traversal": "..\\..\\", "absolute": "/etc/", "drive": "C:\\",
    "nul-name": "a\x00", "control-name": "\x1b[31m\r\n\t", "long-name": "x" * 300, "unicode-name": "perché_€_\u202e",
}  # fmt: skip


@pytest.mark.parametrize("variety", NAMES)
def test_names_can_be_hostile_in_both_zip_and_index(spoilt: Callable[..., Reply], variety: str) -> None:
    reply = spoilt(variety)
    entries = [info.orig_filename for info in zipfile.ZipFile(io.BytesIO(reply.body)).infolist()]
    assert entries[0] == index_of(reply)[0]["fileName"]
    assert entries[0].startswith(NAMES[variety])


def test_checksums_flags_and_methods_can_be_wrong(spoilt: Callable[..., Reply]) -> None:
    for variety, error in (
        ("bad-crc", zipfile.BadZipFile),
        ("encrypted", RuntimeError),
        ("unknown-method", NotImplementedError),
    ):
        contents = zipfile.ZipFile(io.BytesIO(spoilt(variety).body))
        with pytest.raises(error):
            contents.read(contents.infolist()[0])


def test_a_zip_bomb_inflates_to_the_given_size(spoilt: Callable[..., Reply]) -> None:
    reply = spoilt("bomb", size=40 * MEBIBYTE)
    contents = zipfile.ZipFile(io.BytesIO(reply.body))
    assert contents.infolist()[0].file_size == 40 * MEBIBYTE
    assert contents.infolist()[0].compress_size < MEBIBYTE / 10
    with contents.open(contents.infolist()[0]) as bomb:
        assert sum(len(part) for part in iter(lambda: bomb.read(MEBIBYTE), b"")) == 40 * MEBIBYTE


def test_a_zip_bomb_can_declare_a_wrong_size(spoilt: Callable[..., Reply]) -> None:
    reply = spoilt("lying-size", size=5 * MEBIBYTE)
    (info, *_) = zipfile.ZipFile(io.BytesIO(reply.body)).infolist()
    start = info.header_offset + 30 + len(info.filename)
    inflated = zlib.decompressobj(-15).decompress(reply.body[start : start + info.compress_size])
    assert (info.file_size, len(inflated)) == (4096, 5 * MEBIBYTE)


def test_entries_can_overlap(spoilt: Callable[..., Reply]) -> None:
    (first, second, *_) = zipfile.ZipFile(io.BytesIO(spoilt("overlap").body)).infolist()
    assert second.header_offset < first.header_offset + 30 + len(first.filename) + first.compress_size


def test_an_entry_can_be_a_symbolic_link(spoilt: Callable[..., Reply]) -> None:
    (first, *_) = zipfile.ZipFile(io.BytesIO(spoilt("symlink").body)).infolist()
    assert stat.S_ISLNK(first.external_attr >> 16)


def test_other_bytes_can_precede_the_parcel(spoilt: Callable[..., Reply]) -> None:
    assert spoilt("html-before").body.startswith(b"<html>")
    assert spoilt("concatenated").body.count(b"PK\x05\x06") == 2


def test_a_file_can_differ_in_one_fetch_only(desk: Desk, spoilt: Callable[..., Reply]) -> None:
    original = desk.simulator.files(desk.listed()[0])[0]
    once = zipfile.ZipFile(io.BytesIO(spoilt("other-bytes").body)).read(original.name)
    assert once != original.body
    assert once.startswith(original.body)


@pytest.mark.parametrize("variety", ZIP_FAULTS)
def test_every_zip_fault_works_on_a_single_document(desk: Desk, variety: str) -> None:
    desk.simulator.script("fetch", bad_zip(variety, size=MEBIBYTE))
    reply = desk.brought(desk.listed()[:1])
    assert reply.status == 200
    assert b"PK\x05\x06" in reply.body


# Random faults


def test_rates_depend_on_the_seed(desk_with: Callable[..., Desk]) -> None:
    half = Faults(rates=(Rate(call="list", chance=0.5, fault=status(500)),))

    def run() -> list[int]:
        desk = desk_with(faults=half)
        return [desk.invoices().status for _ in range(40)]

    first = run()
    assert first == run()
    assert 8 < first.count(500) < 32


def test_random_faults_repeat_for_the_same_seed_and_calls(desk_with: Callable[..., Desk]) -> None:
    def run() -> list[tuple[int, bytes, Tear | None]]:
        desk = desk_with(faults=Faults(), until=datetime(2024, 1, 1, tzinfo=UTC))
        desk.simulator.faults = random_faults(0.6)
        ids, replies = desk.simulator.ids()[:3], []
        for _ in range(40):
            replies += [desk.invoices(), desk.reserve(ids), desk.phase("set-fase-1", ids[:2])]
            for job in desk.simulator.open_jobs()[-1:]:
                desk.clock.forward(seconds=5)
                replies.append(desk.fetch(job.id))
            if replies[-1].status == 401:
                desk.login()
        return [(reply.status, reply.body, reply.fault) for reply in replies]

    first = run()
    assert first == run()
    assert len({reply[0] for reply in first}) > 5


def test_clear_faults_removes_every_fault(desk: Desk) -> None:
    desk.simulator.script("list", status(500), times=9)
    desk.simulator.faults = Faults(always={"any": status(500)})
    desk.simulator.clear_faults()
    assert desk.invoices().status == 200


def test_the_journal_records_every_call(desk: Desk) -> None:
    a, b, *_ = desk.listed()
    desk.simulator.script("acknowledge", lost())
    desk.phase("set-fase-1", [a])
    desk.phase("set-fase-1", [a, b])
    told = [(called.account, called.status, called.ids) for called in desk.simulator.journal("acknowledge")]
    assert told == [("demo1", 0, (a,)), ("demo1", 200, (a, b))]
    assert desk.simulator.count() == 4
    assert desk.simulator.count("token", account="demo1", status=200) == 1
