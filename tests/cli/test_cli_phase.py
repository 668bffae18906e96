"""`phase`: the four calls by hand, what they refuse, and that a cleared document is held."""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from easytracking_simulator import lost, status
from easytracking_sync.archive import tables
from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.terms import DocumentState

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder
    from tests.support.simulator_server import SimulatorServer

simulator_server = importlib.import_module("tests.support.simulator_server").simulator_server


@pytest.fixture
def known(builder: ArchiveBuilder, simulator_server: SimulatorServer) -> list[int]:
    """The service's documents, all stored in the archive of `builder`, whose configuration names the service."""
    builder.config.write_text(simulator_server.config.read_text())
    for doc_id in simulator_server.simulator.ids():
        builder.document("demo1", doc_id)
    return list(simulator_server.simulator.ids())


def held(builder: ArchiveBuilder) -> list[int]:
    return [entry.doc_id for entry in builder.archive.document_search.documents(DocumentFilter()) if entry.held]


@pytest.mark.parametrize("number", [1, 2])
def test_a_phase_is_set_and_cleared_at_the_service(
    run: Run, builder: ArchiveBuilder, simulator_server: SimulatorServer, known: list[int], number: int
) -> None:
    command = ("--config", builder.config, "phase")
    told = run(*command, "set", number, f"demo1/{known[0]}", known[1], known[1])
    assert (told.code, told.out) == (0, f"Phase {number} is set for 2 documents\n")
    assert simulator_server.simulator.marked(number) == {known[0], known[1]}
    assert run(*command, "clear", number, known[0]).code == 0
    assert simulator_server.simulator.marked(number) == {known[1]}


def test_a_document_whose_acknowledging_phase_is_cleared_is_held_until_it_is_set_again(
    run: Run, builder: ArchiveBuilder, known: list[int]
) -> None:
    command = ("--config", builder.config, "phase")
    told = run(*command, "clear", 1, known[0])
    assert "held: not fetched or acknowledged until `easytracking-sync phase set 1 DOC`" in told.out
    assert held(builder) == [known[0]]
    assert "held" not in run(*command, "clear", 2, known[1]).out
    assert held(builder) == [known[0]]
    run(*command, "set", 1, known[0])
    assert held(builder) == []
    story = run("--config", builder.config, "explain", known[0]).out
    assert "an operator cleared its phase" in story
    assert "no longer held" in story


def test_setting_phase_1_of_what_is_not_stored_needs_force(
    run: Run, builder: ArchiveBuilder, simulator_server: SimulatorServer, known: list[int]
) -> None:
    with builder.archive.database.write() as connection:
        connection.execute(tables.document.update().values(state=DocumentState.QUARANTINED))
    command = ("--config", builder.config, "phase", "set")
    told = run(*command, 1, known[0])
    assert told.code == 2
    assert f"not stored here: demo1/{known[0]}" in told.complaint
    assert simulator_server.simulator.marked(1) == frozenset()
    assert run(*command, 1, known[0], "--force").code == 0
    assert simulator_server.simulator.marked(1) == {known[0]}
    assert run(*command, 2, known[0]).code == 0


def test_refused_documents_are_named_and_do_not_affect_others(
    run: Run, builder: ArchiveBuilder, simulator_server: SimulatorServer, known: list[int]
) -> None:
    simulator_server.simulator.withdraw(known[2])
    told = run("--config", builder.config, "phase", "clear", 1, *known)
    assert told.code == 3
    (line,) = told.err.splitlines()
    assert line.startswith(f"easytracking-sync: demo1/{known[2]}: clear-fase-1: ")
    assert "5 documents; 1 failed" in told.out
    assert known[2] not in held(builder)
    assert len(held(builder)) == 5


def test_without_an_answer_documents_to_be_cleared_stay_held(
    run: Run, builder: ArchiveBuilder, simulator_server: SimulatorServer, known: list[int]
) -> None:
    """The service may have cleared it: it must not be set again without the operator."""
    simulator_server.simulator.script("clear-fase-1", lost())
    told = run("--config", builder.config, "phase", "clear", 1, known[0])
    assert told.code == 75
    assert held(builder) == [known[0]]


def test_a_refused_login_is_tried_once_however_many_documents_there_are(
    run: Run, builder: ArchiveBuilder, simulator_server: SimulatorServer
) -> None:
    first = builder.document("demo1", 1)
    with builder.archive.database.write() as connection:
        row = dict(connection.execute(sa.select(tables.document)).mappings().one())
        more = [row | {"id": first + number, "doc_id": 1 + number} for number in range(1, 120)]
        connection.execute(sa.insert(tables.document), more)
    builder.config.write_text(simulator_server.config.read_text())
    simulator_server.simulator.set_password("demo1", "another")
    told = run("--config", builder.config, "phase", "set", 2, *range(1, 121))
    assert told.code == 4
    assert simulator_server.simulator.count("token") == 1


def test_documents_come_from_stdin_in_hundreds(
    run: Run,
    builder: ArchiveBuilder,
    simulator_server: SimulatorServer,
    known: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"demo1/{known[0]}\n{known[1]} {known[2]}\n\n"))
    assert run("--config", builder.config, "phase", "set", 2, "-").code == 0
    assert simulator_server.simulator.marked(2) == set(known[:3])
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert "names no document" in run("--config", builder.config, "phase", "set", 2, "-").complaint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set", "3", "1"], "'3'"),
        (["set", "1"], "DOC"),
        (["set", "1", "7"], "ambiguous: name one of acme/7, beta/7"),
        (["clear", "2", "acme/9"], "there is no document acme/9"),
        (["clear", "1", "acme/7", "--force"], "--force"),
        (["set", "2", "beta/7"], "account beta is not configured"),
        (["set", "2", "9" * 5000], "is not a document id"),
        (["set", "2", "\x1b[31m/7"], "is not a document id"),
    ],
)
def test_a_wrong_phase_command_is_one_clear_line_and_changes_nothing(
    run: Run, builder: ArchiveBuilder, arguments: list[str], said: str
) -> None:
    for label in ("acme", "beta"):
        builder.document(label, 7)
    told = run("--config", builder.config, "phase", *arguments)
    assert told.code == 2
    assert said in told.complaint
    assert "\x1b" not in told.err


def test_an_unreachable_service_is_reported_for_each_document(run: Run, builder: ArchiveBuilder) -> None:
    builder.document("acme", 1)
    told = run("--config", builder.config, "phase", "set", 1, 1)
    assert told.code == 75
    assert told.err.startswith("easytracking-sync: acme/1: ")


def test_a_failed_answer_in_the_middle_stops_the_rest(
    run: Run, builder: ArchiveBuilder, simulator_server: SimulatorServer, known: list[int]
) -> None:
    simulator_server.simulator.script("set-fase-2", status(503))
    told = run("--config", builder.config, "phase", "set", 2, *known)
    assert told.code == 75
    assert len(told.err.splitlines()) == len(known)
    assert simulator_server.simulator.marked(2) == frozenset()
