"""Defects that show only where several instances, or several calls of one account, are under way side by side."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

LEASES = "tests/postgres/test_postgres_leases.py"
SPOOL = "tests/archive/test_archive_spool.py"
GATE = "tests/machine/test_machine_circuit_breaker.py"
RECOVERY = "tests/machine/test_matrix_22_recovery.py"
HELD = "tests/machine/test_machine_held_claims.py"

SHARED_ARCHIVE = (
    Mutant(
        "spool-others-parts-removed",
        "a writer to a shared spool removes the parts of parcels that others are receiving",
        "archive/spool.py",
        "if other.endswith(PART) and _complete_name(other) == name:",
        "if other.endswith(PART):",
        (f"{SPOOL}::test_a_writer_to_a_shared_folder_removes_others_parts_of_its_own_parcel_only",),
    ),
    Mutant(
        "spool-read-after-the-database",
        "a parcel that arrives in the shared spool while an instance starts is swept",
        "machine/engine.py",
        "        spool.sweep(self._archive.batches.spooled(), present)\n",
        "        spool.sweep(self._archive.batches.spooled(), spool.names() if present is not None else present)\n",
        (f"{RECOVERY}::test_a_parcel_that_arrives_while_a_host_starts_is_not_swept",),
    ),
    Mutant(
        "others-blobs-not-read-back",
        "bytes that another instance inserted at the same moment are taken for whole",
        "archive/blobs.py",
        "        if others - self.whole(others):\n",
        "        if others - others:\n",
        (f"{LEASES}::test_bytes_that_another_instance_stores_at_this_moment_are_read_back",),
    ),
    Mutant(
        "claim-sure-beyond-its-lease",
        "a claim counts as sure for longer than its lease lasts",
        "archive/batches.py",
        "self._lease_seconds * 2 / 3",
        "self._lease_seconds * 4 / 3",
        (f"{HELD}::test_a_claim_is_sure_for_less_time_than_its_lease_lasts",),
    ),
    Mutant(
        "renewal-counts-from-its-answer",
        "a renewal counts from when its answer came",
        "machine/held_claims.py",
        "replace(hold, sure_at=asked_at)",
        "replace(hold, sure_at=max(asked_at, self._clock.monotonic()))",
        (f"{HELD}::test_a_renewal_counts_from_its_request",),
    ),
    Mutant(
        "shorter-retry-after-ends-a-longer-one",
        "a shorter Retry-After that comes later ends a longer one",
        "machine/circuit_breaker.py",
        "max(until, self._wait_until.get(account.id, until))",
        "until",
        (f"{GATE}::test_a_shorter_retry_after_that_comes_later_does_not_end_a_longer_one",),
    ),
    Mutant(
        "all-leases-renewed",
        "an instance that renews its leases holds on to those of all others, the dead included",
        "archive/batches.py",
        ".where(batch.c.state.in_(LIVE_STATES), batch.c.lease_owner == self._owner)",
        ".where(batch.c.state.in_(LIVE_STATES), batch.c.lease_owner.is_not(None))",
        (f"{LEASES}::test_an_instance_renews_its_own_leases_and_nobody_elses",),
    ),
    Mutant(
        "dead-instances-hold-their-names",
        "what a dead instance holds is held until its lease runs out, however long it was taken for",
        "archive/leases.py",
        ", ~_is_alive(lease.c.owner, clock)",
        "",
        (f"{LEASES}::test_what_an_instance_held_is_free_when_it_has_not_announced_itself_for_half_a_minute",),
    ),
    Mutant(
        "database-waited-for-without-end",
        "a one-shot waits for its database beyond its deadline",
        "app/composition.py",
        "                if clock.monotonic() - begun >= seconds:\n",
        "                if clock.monotonic() - begun >= 100 * seconds:\n",
        ("tests/postgres/test_postgres_awaited.py::test_a_one_shot_waits_until_its_deadline_or_a_minute",),
    ),
)
