"""The list of mutants is sound: each still applies, names tests that exist, and every watched invariant has one."""

from __future__ import annotations

import re
import runpy

import pytest
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.watched import WATCHED

LEAST = 40


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_a_mutant_changes_what_is_there_and_leaves_a_program(mutant: Mutant) -> None:
    """Code that moves takes its mutants along: change their text with it."""
    for edit in mutant.edits:
        text = (ROOT / edit.path).read_text(encoding="utf-8")
        changed = edit.applied(text)
        assert changed != text
        compile(changed, edit.path, "exec")
    for node in mutant.caught_by:
        file, _, name = node.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8"), node


def test_there_are_enough_and_each_is_told_apart() -> None:
    assert len(MUTANTS) >= LEAST
    assert len({mutant.id for mutant in MUTANTS}) == len({mutant.defect for mutant in MUTANTS}) == len(MUTANTS)


def test_every_invariant_that_the_simulation_asserts_has_a_mutant_that_makes_it_speak() -> None:
    """Otherwise nobody knows whether the assertion can fail at all."""
    invariants = runpy.run_path(str(ROOT / "docs" / "draw_matrix.py"))["INVARIANTS"]
    message = re.compile(rf'(?<!")"({"|".join(invariants)})[:"]')
    watchers = sorted((ROOT / "tests" / "simulation").glob("*.py"))
    asserted = {name for path in watchers for name in message.findall(path.read_text(encoding="utf-8"))}
    assert {"NO-LOSS", "NO-ACK-BEFORE-DURABLE", "FENCED"} <= asserted
    assert asserted <= {mutant.says.partition(":")[0] for mutant in WATCHED}
