"""Every mutant, room by room."""

from __future__ import annotations

from tests.mutants.around import AROUND
from tests.mutants.durable import DURABLE
from tests.mutants.lifecycle import LIFECYCLE
from tests.mutants.overlooked import OVERLOOKED
from tests.mutants.rows import ROWS
from tests.mutants.steps import STEPS
from tests.mutants.use_cases import USE_CASES
from tests.mutants.watched import WATCHED
from tests.mutants.wire import WIRE

MUTANTS = (*DURABLE, *ROWS, *STEPS, *LIFECYCLE, *WIRE, *AROUND, *OVERLOOKED, *USE_CASES, *WATCHED)
