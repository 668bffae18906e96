"""The list of mutants is sound: each still applies, names tests that exist, and every watched invariant has one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.simulation_invariants import SIMULATION_INVARIANTS
from tests.simulation.test_simulation_invariants import TAMPERINGS

LEAST = 40
GAP = "…"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_every_mutant_applies_and_compiles(mutant: Mutant) -> None:
    """Code that moves takes its mutants along: change their text with it."""
    for edit in mutant.edits:
        text = (ROOT / edit.path).read_text(encoding="utf-8")
        changed = edit.applied(text)
        assert changed != text
        compile(changed, edit.path, "exec")
    for node in mutant.caught_by:
        file, _, name = node.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8"), node


def test_there_are_enough_mutants_with_unique_ids_and_defects() -> None:
    assert len(MUTANTS) >= LEAST
    assert len({mutant.id for mutant in MUTANTS}) == len({mutant.defect for mutant in MUTANTS}) == len(MUTANTS)


def test_every_assertion_of_the_simulation_has_been_seen_to_fail() -> None:
    """From a mutant that makes it speak, or from hands that tamper: who else knows that it can fail at all?"""
    asserted = {text for path in (ROOT / "tests" / "simulation").glob("*.py") for text in _messages(path)}
    assert {"NO-LOSS: a document is carried twice", f"BOUNDED: more than {GAP} jobs in flight: {GAP}"} <= asserted
    spoken = {mutant.says for mutant in SIMULATION_INVARIANTS}
    unheard = {
        text
        for text in asserted
        if not any(re.search(says, text) for says in spoken)
        and not any(re.fullmatch(re.escape(text).replace(GAP, ".+"), said) for said in TAMPERINGS)
    }
    assert not unheard


def _messages(path: Path) -> Iterator[str]:
    """What is said there of an invariant, with a gap for what is filled in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assert) and node.msg is not None:
            said = node.msg
        elif (
            isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in {"AssertionError", "wrong.append"}
        ):
            said = node.args[0]
        else:
            continue
        parts = said.values if isinstance(said, ast.JoinedStr) else [said]
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in parts)
