"""`reconcile`: the table, the sentence, the JSON and the repair, over a socket."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from easytracking_simulator import Faults, status
from easytracking_sync.archive import tables
from easytracking_sync.archive.database import Database

if TYPE_CHECKING:
    from tests.cli.conftest import Run
    from tests.support.archive_builder import ArchiveBuilder
    from tests.support.simulator_server import SimulatorServer

simulator_server = importlib.import_module("tests.support.simulator_server").simulator_server


def rot(simulator_server: SimulatorServer) -> None:
    """Every stored byte rots."""
    database = Database(f"sqlite:///{simulator_server.folder}/archive.db")
    with database.write() as connection:
        connection.execute(sa.update(tables.blob_chunk).values(content=b"rotten"))
    database.close()


def test_the_proof_holds_fails_and_is_repaired(run: Run, simulator_server: SimulatorServer) -> None:
    command = ("--config", simulator_server.config, "reconcile")
    assert run("--config", simulator_server.config, "migrate").code == 0
    before = run(*command)
    assert before.code == 3
    assert [line.split()[:4] for line in before.out.splitlines()[1:2]] == [["demo1", "6", "0", "6"]]
    assert "listed by the service but not stored: " in before.out
    assert "The proof does not hold." in before.out.splitlines()[-1]
    mended = run(*command, "--repair")
    assert mended.code == 0
    assert "Repaired: 6 documents fetched, 18 files; comparing again" in mended.out
    assert mended.out.splitlines()[-1].startswith("The proof holds: 6 listed documents, all stored, undamaged")
    rot(simulator_server)
    told = run(*command, "--json")
    (line,) = told.out.splitlines()
    fields = json.loads(line)
    assert (told.code, fields["holds"], fields["home"], len(fields["rotten"])) == (3, False, 6, 18)
    again = run(*command, "--repair", "--json")
    assert (again.code, [json.loads(line)["holds"] for line in again.out.splitlines()]) == (0, [True])


def test_the_proof_excludes_accepted_documents_and_proves_nothing_for_an_empty_list(
    run: Run, simulator_server: SimulatorServer
) -> None:
    command = ("--config", simulator_server.config, "reconcile")
    assert run("--config", simulator_server.config, "catch-up").code == 0
    database = Database(f"sqlite:///{simulator_server.folder}/archive.db")
    with database.write() as connection:
        closed = tables.document.c.doc_id == min(simulator_server.simulator.ids())
        connection.execute(sa.update(tables.document).where(closed).values(state="accepted"))
    database.close()
    told = run(*command)
    assert told.code == 0
    assert "demo1: 1 document closed with `easytracking-sync quarantine accept`" in told.out
    last = told.out.splitlines()[-1]
    assert "6 listed documents, all stored, undamaged and acknowledged, except 1 closed by an operator" in last
    nothing = run(*command, "--to", "2001-12-31")
    assert (nothing.code, "holds" in nothing.out) == (0, False)
    assert "The service lists no documents for this selection" in nothing.out


def test_an_incomplete_comparison_proves_nothing(run: Run, simulator_server: SimulatorServer) -> None:
    assert run("--config", simulator_server.config, "migrate").code == 0
    for doc_id in simulator_server.simulator.ids():
        simulator_server.simulator.withdraw(doc_id)
    simulator_server.simulator.faults = Faults(always={"list": status(400)})
    told = run("--config", simulator_server.config, "reconcile")
    assert told.code == 75
    assert told.out.splitlines()[-1] == "Not proven: the comparison is incomplete."
    assert "easytracking-sync: not compared: demo1: " in told.err


def test_refused_credentials_end_with_4(run: Run, simulator_server: SimulatorServer) -> None:
    config = simulator_server.config
    assert run("--config", config, "migrate").code == 0
    simulator_server.simulator.set_password("demo1", "another")
    told = run("--config", config, "reconcile")
    assert told.code == 4
    assert "demo1: the service refuses the credentials" in told.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--account", "acne"], "unknown account 'acne'; configured accounts: acme"),
        (["--from", "2026-02-30"], "is not a day"),
        (["--from", "2099-01-01"], "2099-01-01 is in the future"),
        (["--from", "2026-02-01", "--to", "2026-01-31"], "2026-01-31 is before 2026-02-01"),
    ],
)
def test_a_wrong_reconcile_is_one_clear_line(
    run: Run, builder: ArchiveBuilder, arguments: list[str], said: str
) -> None:
    told = run("--config", builder.config, "reconcile", *arguments)
    assert told.code == 2
    assert said in told.complaint
