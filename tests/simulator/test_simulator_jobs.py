"""Sections 5 to 12 of the vendor's document: jobs, the parcel, the phases."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Callable

    from tests.simulator.conftest import Desk

    from easytracking_simulator import Reply

    Opener = Callable[[Reply], zipfile.ZipFile]

VERBS = ("set-fase-1", "clear-fase-1", "set-fase-2", "clear-fase-2")
CHOICES = {"fatturaOriginale": "FA", "metadatoSDI": "MT", "fatturaNonFirmata": "FU", "fatturaIntermediario": "FI"}
BAD_IDS: list[Any] = [[], [*range(101)], ["1"], [1.0], [True], [None], None, {}, "1", 1, [10**30], [[1]]]
NO_JOB = "00000000-0000-4000-8000-000000000000"


def index_of(parcel: zipfile.ZipFile) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads(parcel.read("indice.json"))["files"]
    return files


def test_a_job_is_accepted_with_a_guid_of_36_characters(desk: Desk) -> None:
    reply = desk.reserve(desk.listed())
    assert (reply.status, list(reply.json())) == (202, ["jobId"])
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", reply.json()["jobId"])


@pytest.mark.parametrize("ids", BAD_IDS)
def test_ids_that_are_not_1_to_100_integers_are_400(desk: Desk, ids: Any) -> None:
    answers = [desk.reserve(ids), desk.reserve(ids, metadatoSDI=True), *(desk.phase(verb, ids) for verb in VERBS)]
    assert {(reply.status, *reply.json()) for reply in answers} == {(400, "message")}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_not_an_object_is_400(desk: Desk, body: bytes) -> None:
    assert desk.post("/api/v10/DownloadInvoices/jobs", body).status == 400


def test_a_hundred_ids_are_allowed(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(documents=100)
    assert desk.reserve(desk.listed()).status == 202
    assert desk.phase("set-fase-1", desk.listed()).status == 200


def test_an_unknown_foreign_or_withdrawn_id_refuses_the_whole_call(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(accounts=2)
    mine, foreign = desk.listed(), desk.simulator.ids("demo2")[0]
    desk.simulator.withdraw(mine[0])
    for bad in (7, foreign, mine[0], -1):
        assert desk.reserve([mine[1], bad]).status == 403
        assert {desk.phase(verb, [mine[1], bad]).status for verb in VERBS} == {403}
    assert not desk.simulator.marked(1)
    assert not desk.simulator.open_jobs()


def test_a_withdrawn_document_is_not_listed(desk: Desk) -> None:
    gone, *others = desk.listed()
    desk.simulator.withdraw(gone)
    assert desk.listed() == others


def test_a_job_is_pending_and_then_answers_once(desk: Desk, parcel: Opener) -> None:
    job_id = desk.reserve(desk.listed()).json()["jobId"]
    assert desk.fetch(job_id).status == 202
    desk.clock.forward(seconds=3)
    reply = desk.fetch(job_id)
    assert (reply.status, reply.header("Content-Type")) == (200, "application/octet-stream")
    assert parcel(reply).testzip() is None
    assert desk.fetch(job_id).status == 403


def test_jobs_take_0_5_to_1_5_times_the_configured_time(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(job_seconds=10.0)
    for _ in range(30):
        desk.reserve(desk.listed()[:1])
    took = {(job.ready_at - job.created_at).total_seconds() for job in desk.simulator.open_jobs()}
    assert len(took) == 30
    assert 5 <= min(took) < max(took) <= 15


def test_a_job_lives_24_hours(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(token_seconds=10**6)
    first, second = (desk.reserve(desk.listed()).json()["jobId"] for _ in range(2))
    desk.clock.forward(hours=24, seconds=-1)
    assert desk.fetch(first).status == 200
    desk.clock.forward(seconds=1)
    assert desk.fetch(second).status == 403
    assert not desk.simulator.open_jobs()


def test_an_invalid_guid_is_400_and_an_unknown_one_403(desk: Desk) -> None:
    for wrong in ("1", NO_JOB[:-1], NO_JOB.replace("-", ""), f"{{{NO_JOB}}}", NO_JOB.replace("0", "g")):
        assert desk.fetch(wrong).status == 400
    assert desk.fetch(NO_JOB).status == 403


def test_another_account_s_job_is_403_and_stays_open(desk_with: Callable[..., Desk]) -> None:
    desk = desk_with(accounts=2)
    job_id = desk.reserve(desk.listed()).json()["jobId"]
    mine, desk.account = desk.account, desk.simulator.accounts[1]
    desk.login()
    desk.clock.forward(minutes=1)
    assert desk.fetch(job_id).status == 403
    desk.account = mine
    desk.login()
    assert desk.fetch(job_id).status == 200


def test_a_guid_may_be_in_upper_case(desk: Desk) -> None:
    job_id = desk.reserve(desk.listed()).json()["jobId"]
    assert desk.fetch(job_id.upper()).status == 202


def test_the_parcel_holds_original_metadata_and_unsigned_of_each_document(desk: Desk, parcel: Opener) -> None:
    ids = desk.listed()
    contents = parcel(desk.brought(ids))
    index = index_of(contents)
    assert [(row["id"], row["fileType"]) for row in index] == [(i, kind) for i in ids for kind in ("FA", "MT", "FU")]
    assert [list(row) for row in index] == [["id", "fileName", "fileType"]] * 36
    assert sorted(contents.namelist()) == sorted([*(row["fileName"] for row in index), "indice.json"])
    for row in index:
        truth = next(file for file in desk.simulator.files(row["id"]) if file.type == row["fileType"])
        assert contents.read(row["fileName"]) == truth.body


def test_the_index_has_the_layout_of_the_document_s_example(desk: Desk, parcel: Opener) -> None:
    first = desk.listed()[0]
    text = parcel(desk.brought([first])).read("indice.json").decode()
    assert text.startswith(f'{{\n  "files": [\n    {{\n      "id": {first},\n      "fileName": "')


def test_names_have_the_form_of_the_document_s_example(desk_with: Callable[..., Desk], parcel: Opener) -> None:
    desk = desk_with(p7m_share=1.0, romania_share=0.0)
    original, metadata, unsigned = (row["fileName"] for row in index_of(parcel(desk.brought(desk.listed()[:1]))))
    assert re.fullmatch(r"\d{8}_\d{9}\.[0-9a-f]{2}_IT\d{11}_\w{5}\.xml\.p7m", original)
    assert metadata == original.replace(".xml.p7m", "_MT_001.xml")
    assert re.fullmatch(r"IT07031780484_\d+\.xml", unsigned)


@pytest.mark.parametrize("chosen", [("FA",), ("MT", "FU"), ("FI",), ("FA", "MT", "FU", "FI")])
def test_the_parcel_holds_exactly_the_chosen_types(
    desk_with: Callable[..., Desk], parcel: Opener, chosen: tuple[str, ...]
) -> None:
    desk = desk_with(intermediary_share=0.5, documents=30)
    ids = desk.listed()
    choices = {name: kind in chosen for name, kind in CHOICES.items()}
    came = [(row["id"], row["fileType"]) for row in index_of(parcel(desk.brought(ids, **choices)))]
    assert came == [(i, file.type) for i in ids for file in desk.simulator.files(i) if file.type in chosen]
    assert came


def test_all_four_types_false_is_400(desk: Desk) -> None:
    assert desk.reserve(desk.listed(), **dict.fromkeys(CHOICES, False)).status == 400


@pytest.mark.parametrize("value", [1, "true", None, []])
def test_a_choice_that_is_not_a_bool_is_400(desk: Desk, value: Any) -> None:
    assert desk.reserve(desk.listed(), fatturaOriginale=True, metadatoSDI=value).status == 400


def test_phases_are_set_and_cleared_one_by_one(desk: Desk) -> None:
    a, b, *_ = desk.listed()
    assert [desk.phase("set-fase-1", [a, b]).status, desk.phase("set-fase-2", [b]).status] == [200, 200]
    assert [set(desk.simulator.marked(phase)) for phase in (1, 2)] == [{a, b}, {b}]
    assert [desk.phase("clear-fase-1", [a]).status, desk.phase("clear-fase-2", [a, b]).status] == [200, 200]
    assert [set(desk.simulator.marked(phase)) for phase in (1, 2)] == [{b}, set()]


@pytest.mark.parametrize("status", [200, 400, 403])
def test_setting_a_phase_again_is_answered_by_the_option_s_status(
    desk_with: Callable[..., Desk], status: int
) -> None:
    desk = desk_with(repeated_phase_status=status)
    a, b, *_ = desk.listed()
    assert desk.phase("set-fase-1", [a]).status == 200
    assert desk.phase("set-fase-1", [a]).status == status
    assert desk.phase("set-fase-1", [a, b]).status == 200


def test_the_portal_sets_and_clears_phases(desk: Desk) -> None:
    a, *_ = desk.listed()
    desk.simulator.set_phase(1, [a])
    assert desk.listed(fase1="true") == [a]
    desk.simulator.set_phase(1, [a], on=False)
    assert desk.listed(fase1="true") == []


def test_added_documents_are_returned_byte_for_byte(desk: Desk, parcel: Opener) -> None:
    files = {"FA": ("à/../b.xml.p7m", b"\x00\xff" * 9), "MT": ("b_MT_001.xml", b"")}
    added = desk.simulator.add_document("demo1", files, number="77/C")
    contents = parcel(desk.brought([added]))
    assert {row["fileType"]: (row["fileName"], contents.read(row["fileName"])) for row in index_of(contents)} == files


def test_a_changed_document_has_other_bytes_under_the_same_id(desk: Desk) -> None:
    first, *_ = desk.listed()
    before = desk.simulator.true_document(first)
    desk.simulator.change_document(first)
    after = desk.simulator.true_document(first)
    assert [file.name for file in before.files] == [file.name for file in after.files]
    assert before.files[0].sha256 != after.files[0].sha256
    desk.simulator.change_document(first, {"FA": ("x.xml", b"x")}, number="9")
    assert desk.simulator.files(first)[0].body == b"x"
    assert desk.simulator.document(first).element()["number"] == "9"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v9/DownloadInvoices/passive-invoices", 404),
        ("GET", "/api/v10/DownloadInvoices/jobs/", 404),
        ("GET", "/api/v10/DownloadInvoices/jobs", 405),
        ("POST", "/api/v10/DownloadInvoices/passive-invoices", 405),
        ("GET", "/api/Token/AccessToken", 405),
        ("GET", "/api/v10/PassiveInvoices/set-fase-1", 405),
        ("POST", "/api/v10/PassiveInvoices/set-fase-3", 404),
    ],
)
def test_other_paths_are_404_and_other_methods_405(desk: Desk, method: str, path: str, status: int) -> None:
    assert (desk.get(path) if method == "GET" else desk.post(path, {})).status == status


def test_deviations_from_the_document_are_recorded(desk: Desk) -> None:
    assert desk.simulator.lapses() == {}
    desk.headers.pop("Accept")
    desk.invoices(Top="5")
    desk.post("/api/v10/DownloadInvoices/jobs", {"docIds": [1], "fatturaOriginale": True})
    assert desk.simulator.lapses() == {
        "list: no Accept: application/json": 1,
        "list: unknown field Top": 1,
        "jobs: no Accept: application/json": 1,
        "jobs: unknown field fatturaOriginale": 1,
    }
