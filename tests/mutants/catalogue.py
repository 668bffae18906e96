"""Every mutant, room by room."""

from __future__ import annotations

from tests.mutants.claims_and_listings import ROWS
from tests.mutants.engine import STEPS
from tests.mutants.lifecycle import LIFECYCLE
from tests.mutants.manual_review import OVERLOOKED
from tests.mutants.remote import WIRE
from tests.mutants.schedule_log_export import AROUND
from tests.mutants.simulation_invariants import WATCHED
from tests.mutants.storage import DURABLE
from tests.mutants.use_cases import USE_CASES

MUTANTS = (*DURABLE, *ROWS, *STEPS, *LIFECYCLE, *WIRE, *AROUND, *OVERLOOKED, *USE_CASES, *WATCHED)
