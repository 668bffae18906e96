"""`invoices list` and `show`: the contract's JSON, and tables that no supplier's text can break."""

from __future__ import annotations

import hashlib
import importlib
import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from easytracking_sync.cli import output
from easytracking_sync.safe_file_names import safe_name
from easytracking_sync.terms import DocumentState

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder

archive_builder = importlib.import_module("tests.support.archive_builder")
local, NOW = archive_builder.local, archive_builder.NOW

KEYS = [
    *("account", "doc_id", "state", "number", "document_date", "document_type", "sender_piva", "sender_cf"),
    *("receiver_piva", "receiver_cf", "sdi_id", "received_at", "file_name", "annual_progressive", "country_channel"),
    *("discovered_at", "stored_at", "acknowledged_at", "missing_types", "files"),
]
HOSTILE = "\x1b]0;owned\x07\x00\udc80[bold]\r\nx\u202e.xml"


def test_a_json_line_has_exactly_the_contracts_keys_in_its_order(run: Run, builder: ArchiveBuilder) -> None:
    builder.document(
        "acme",
        4574622,
        files={"FA": ("a.xml.p7m", b"original"), "MT": ("m.xml", b"meta")},
        received=local("2026-05-04 10:30:00"),
        document_date=date(2026, 4, 30),
        number="7/A",
        document_type="TD01",
        sender_piva="01234567890",
        annual_progressive=26000001,
        country_channel=0,
        missing_types="FU",
        stored_at=NOW,
        acknowledged_at=NOW,
    )
    told = run("--config", builder.config, "invoices", "list", "--json")
    assert told.code == 0
    (line,) = told.out.splitlines()
    fields = json.loads(line)
    assert list(fields) == KEYS
    assert fields == {
        "account": "acme",
        "doc_id": 4574622,
        "state": "acknowledged",
        "number": "7/A",
        "document_date": "2026-04-30",
        "document_type": "TD01",
        "sender_piva": "01234567890",
        "sender_cf": None,
        "receiver_piva": None,
        "receiver_cf": None,
        "sdi_id": None,
        "received_at": "2026-05-04T10:30:00+02:00",
        "file_name": None,
        "annual_progressive": 26000001,
        "country_channel": 0,
        "discovered_at": "2026-11-22T12:00:00Z",
        "stored_at": "2026-11-22T12:00:00Z",
        "acknowledged_at": "2026-11-22T12:00:00Z",
        "missing_types": ["FU"],
        "files": [
            {
                "type": "FA",
                "name": "a.xml.p7m",
                "size": 8,
                "sha256": hashlib.sha256(b"original").hexdigest(),
            },
            {
                "type": "MT",
                "name": "m.xml",
                "size": 4,
                "sha256": hashlib.sha256(b"meta").hexdigest(),
            },
        ],
    }


@pytest.mark.parametrize(
    ("zone", "received", "told"),
    [
        ("Europe/Rome", "2026-01-15 10:30:00", "2026-01-15T10:30:00+01:00"),
        ("Europe/Rome", "2026-07-15 10:30:00", "2026-07-15T10:30:00+02:00"),
        ("Europe/Bucharest", "2026-07-15 10:30:00", "2026-07-15T10:30:00+03:00"),
        ("UTC", "2026-07-15 10:30:00", "2026-07-15T10:30:00+00:00"),
        ("Europe/Rome", None, None),
    ],
)
def test_reception_times_carry_the_offset_of_the_configured_zone(
    run: Run, builder: ArchiveBuilder, zone: str, received: str | None, told: str | None
) -> None:
    builder.configure(top=f"timezone = '{zone}'")
    builder.document("acme", 1, received=local(received) if received else None)
    line = run("--config", builder.config, "invoices", "list", "--json").out
    assert json.loads(line)["received_at"] == told


@given(st.text())
@settings(max_examples=100)
def test_any_text_survives_a_json_line_in_ascii(text: str) -> None:
    line = output.json_line({"name": text})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"name": text}


def test_a_hostile_name_is_valid_json_and_harmless_in_a_table(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, files={"FA": (HOSTILE, b"x")}, number="7\x1b[2J[red]")
    as_json = run("--config", builder.config, "invoices", "list", "--json").out
    assert json.loads(as_json)["files"][0]["name"] == HOSTILE
    for command in (["list"], ["show", "acme/1"]):
        out = run("--config", builder.config, "invoices", *command).out
        assert "[red]" in out
        assert all(line.isprintable() for line in out.splitlines())
        assert "\\x1b[2J" in out


def test_the_table_for_people_is_aligned_text(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, files={"FA": ("a", b"1"), "MT": ("m", b"2")}, missing_types="FU", number="12")
    builder.unacknowledgeable("acme", 2)
    head, first, second = run("--config", builder.config, "invoices", "list").out.splitlines()
    assert head.split() == ["DOCUMENT", "RECEIVED", "STATE", "TYPE", "DATE", "NUMBER", "SENDER", "FILES"]
    assert first.index("FA MT (no FU)") == head.index("FILES")
    assert second.startswith("acme/2")
    assert "unacknowledgeable" in second


def test_filters_reach_the_catalogue(run: Run, builder: ArchiveBuilder) -> None:
    for doc_id, day in ((1, "2026-05-01"), (2, "2026-05-02"), (3, "2026-05-03")):
        builder.document("acme", doc_id, received=local(day), document_type="TD0" + str(doc_id))
    builder.quarantined("beta", 4, received=local("2026-05-02"))

    def listed(*options: str) -> list[int]:
        out = run("--config", builder.config, "invoices", "list", "--json", *options).out
        return [json.loads(line)["doc_id"] for line in out.splitlines()]

    assert listed("--from", "2026-05-02", "--to", "2026-05-02") == [2, 4]
    assert listed("--until", "2026-05-02", "--account", "ACME") == [1, 2]
    assert listed("--state", "quarantined", "--state", "stored") == [4]
    assert listed("--type", "td01,TD03") == [1, 3]
    assert listed("--limit", "1") == [1]
    assert listed("--number", "none") == []


def test_show_tells_the_fields_every_version_and_the_history(run: Run, builder: ArchiveBuilder) -> None:
    row_id = builder.quarantined("acme", 1, files={"FA": ("a.xml", b"one")}, number="9")
    builder.file(row_id, "FA", "a.xml", b"two")
    run("--config", builder.config, "quarantine", "retry")
    told = run("--config", builder.config, "invoices", "show", "1")
    assert told.code == 0
    assert "acme/1" in told.out
    assert "refused (403)" in told.out
    assert told.out.count("a.xml") == 2
    assert "document.retried" in told.out


def test_before_the_first_run_a_command_says_what_creates_the_archive(run: Run, builder: ArchiveBuilder) -> None:
    builder.archive.close()
    builder.path.unlink()
    told = run("--config", builder.config, "invoices", "list")
    assert told.code == 2
    assert "catch-up" in told.complaint
    assert not builder.path.exists()


FILES = st.lists(
    st.tuples(st.sampled_from(["FA", "MT", "FU", "FI", "XX"]), st.text(max_size=60), st.binary(max_size=64)),
    max_size=6,
    unique_by=lambda part: (part[0], part[2]),
)


@given(files=FILES)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_file_comes_out_byte_for_byte_whatever_its_name(
    run: Run, builder: ArchiveBuilder, files: list[tuple[str, str, bytes]]
) -> None:
    doc_id = getattr(builder, "used", 0) + 1
    builder.used = doc_id  # type: ignore[attr-defined]
    row_id = builder.document("acme", doc_id, received=local(f"{2000 + doc_id}-01-02"))
    for kind, name, content in files:
        builder.file(row_id, kind, name, content)
    target = builder.folder / "out"
    day = f"{2000 + doc_id}-01-02"
    told = run("--config", builder.config, "invoices", "export", "--to", target, "--from", day, "--until", day)
    assert told.code == 0
    place = target / "acme" / day[:7] / str(doc_id)
    found = sorted(path.read_bytes() for path in place.iterdir()) if files else []
    assert found == sorted(content for _, _, content in files)
    assert {path.name for path in builder.folder.iterdir()} <= {
        "out",
        "archive.db",
        "config.toml",
        "archive.db-journal",
    }


def test_a_repeated_export_writes_only_missing_files(run: Run, builder: ArchiveBuilder) -> None:
    builder.document(
        "acme", 1, files={"FA": ("a.xml", b"one"), "MT": ("m.xml", b"two")}, received=local("2026-05-04")
    )
    export = ("--config", builder.config, "invoices", "export", "--to", builder.folder / "out")
    assert run(*export).out.startswith("1 document: 2 files written (6 B), in ")
    place = builder.folder / "out" / "acme" / "2026-05" / "1"
    (place / "m.xml").unlink()
    before = (place / "a.xml").stat().st_mtime_ns
    assert run(*export).out.startswith("1 document: 1 file written (3 B), 1 already there, in ")
    assert (place / "a.xml").stat().st_mtime_ns == before


@pytest.mark.parametrize("length", [3, 4])
def test_an_export_never_overwrites_and_reports_what_differs(run: Run, builder: ArchiveBuilder, length: int) -> None:
    builder.document("acme", 1, files={"FA": ("a.xml", b"one")}, received=local("2026-05-04"))
    place = builder.folder / "out" / "acme" / "2026-05" / "1"
    place.mkdir(parents=True)
    (place / "a.xml").write_bytes(b"x" * length)
    told = run("--config", builder.config, "invoices", "export", "--to", builder.folder / "out")
    assert told.code == 3
    assert "a.xml has other bytes" in told.err
    assert "0 files written (0 B), 1 different" in told.out
    assert (place / "a.xml").read_bytes() == b"x" * length


def test_an_export_follows_no_link_out_of_its_folder(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, files={"FA": ("a.xml", b"one")}, received=local("2026-05-04"))
    outside, target = builder.folder / "outside", builder.folder / "out"
    outside.mkdir()
    target.mkdir()
    (target / "acme").symlink_to(outside)
    told = run("--config", builder.config, "invoices", "export", "--to", target)
    assert told.code == 2
    assert "symbolic link" in told.complaint
    assert list(outside.iterdir()) == []


def test_a_folder_that_is_a_dangling_link_is_reported(run: Run, builder: ArchiveBuilder) -> None:
    (builder.folder / "out").symlink_to(builder.folder / "elsewhere")
    told = run("--config", builder.config, "invoices", "export", "--to", builder.folder / "out")
    assert (told.code, "a symbolic link to a folder that does not exist" in told.complaint) == (2, True)


def test_a_dangling_link_at_the_target_is_not_replaced(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, files={"FA": ("a.xml", b"one")}, received=local("2026-05-04"))
    place = builder.folder / "out" / "acme" / "2026-05" / "1"
    place.mkdir(parents=True)
    (place / "a.xml").symlink_to(builder.folder / "elsewhere")
    assert run("--config", builder.config, "invoices", "export", "--to", builder.folder / "out").code == 3
    assert not (builder.folder / "elsewhere").exists()


def test_a_choice_of_types_changes_no_names(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, files={"FA": ("same.xml", b"one"), "FU": ("SAME.xml", b"two")}, received=None)
    builder.document("acme", 2, files={"MT": ("m.xml", b"two")})
    told = run("--config", builder.config, "invoices", "export", "--to", builder.folder / "out", "--types", "fu")
    assert told.out.startswith("1 document: 1 file written")
    (written,) = (path for path in (builder.folder / "out").rglob("*") if path.is_file())
    assert written.relative_to(builder.folder / "out").parts == ("acme", "undated", "1", "SAME~2.xml")
    assert safe_name("SAME.xml") == "SAME.xml"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("ZZ", "'ZZ' is unknown, and nothing in the archive has it; use FA, MT, FU, FI"),
        ("FA,TM", "'TM' is unknown, and nothing in the archive has it; did you mean MT?"),
    ],
)
def test_a_type_of_file_that_cannot_match_is_refused_before_anything_is_written(
    run: Run, builder: ArchiveBuilder, given: str, hint: str
) -> None:
    builder.document("acme", 1, files={"FA": ("a.xml", b"one")})
    told = run("--config", builder.config, "invoices", "export", "--to", builder.folder / "out", "--types", given)
    assert (told.code, hint in told.complaint) == (2, True)
    assert not (builder.folder / "out").exists()


@pytest.mark.parametrize("command", [("list",), ("export", "--to", "out")])
@pytest.mark.parametrize(("given", "nearest"), [("TD1", "TD01"), ("td01,td42", "TD02"), ("3800", "380")])
def test_a_document_type_that_cannot_match_is_refused(
    run: Run, builder: ArchiveBuilder, command: tuple[str, ...], given: str, nearest: str
) -> None:
    told = run("--config", builder.config, "invoices", *command, "--type", given)
    assert (told.code, f"did you mean {nearest}?" in told.complaint) == (2, True)


def test_types_that_only_the_archive_knows_are_accepted(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, files={"XX": ("x.bin", b"one")}, document_type="TD99")
    told = run("--config", builder.config, "invoices", "list", "--type", "TD99,TD28")
    assert (told.code, "acme/1" in told.out) == (0, True)
    told = run("--config", builder.config, "invoices", "export", "--to", builder.folder / "out", "--types", "xx,fi")
    assert told.out.startswith("1 document: 1 file written")


def test_a_damaged_file_in_the_archive_is_reported_and_not_exported(run: Run, builder: ArchiveBuilder) -> None:
    row_id = builder.document("acme", 1, files={"FA": ("a.xml", b"one")}, received=local("2026-05-04"))
    builder.file(row_id, "MT", "m.xml", b"two")
    with builder.archive.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM blob_chunk WHERE sha256 IN (SELECT sha256 FROM file WHERE type='FA')")
    told = run("--config", builder.config, "invoices", "export", "--to", builder.folder / "out")
    assert told.code == 74
    assert "acme/1 FA" in told.err
    names = [path.name for path in (builder.folder / "out").rglob("*") if path.is_file()]
    assert names == ["m.xml"]


def test_states_are_words_of_the_field(run: Run, builder: ArchiveBuilder) -> None:
    for doc_id, state in enumerate(DocumentState, start=1):
        builder.document("acme", doc_id, state)
    out = run("--config", builder.config, "invoices", "list", "--json").out
    assert [json.loads(line)["state"] for line in out.splitlines()] == [state.value for state in DocumentState]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc, where nobody makes folders")
def test_a_folder_that_cannot_be_created_is_named(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1, files={"FA": ("a.xml", b"<a/>")})
    told = run("--config", builder.config, "invoices", "export", "--to", "/proc/nope")
    assert (told.code, "/proc/nope: No such file or directory" in told.complaint) == (74, True)
