"""Every mutant, room by room."""

from __future__ import annotations

from tests.mutants.claims_and_listings import CLAIMS_AND_LISTINGS
from tests.mutants.completeness import COMPLETENESS
from tests.mutants.deliver import DELIVER
from tests.mutants.engine import ENGINE
from tests.mutants.lifecycle import LIFECYCLE
from tests.mutants.manual_review import MANUAL_REVIEW
from tests.mutants.remote import REMOTE
from tests.mutants.schedule_log_export import SCHEDULE_LOG_EXPORT
from tests.mutants.shared_archive import SHARED_ARCHIVE
from tests.mutants.simulation_invariants import SIMULATION_INVARIANTS
from tests.mutants.storage import STORAGE
from tests.mutants.understood import UNDERSTOOD
from tests.mutants.use_cases import USE_CASES

MUTANTS = (
    *STORAGE,
    *SHARED_ARCHIVE,
    *CLAIMS_AND_LISTINGS,
    *COMPLETENESS,
    *ENGINE,
    *LIFECYCLE,
    *REMOTE,
    *SCHEDULE_LOG_EXPORT,
    *MANUAL_REVIEW,
    *USE_CASES,
    *SIMULATION_INVARIANTS,
    *UNDERSTOOD,
    *DELIVER,
)
