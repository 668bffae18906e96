"""Defects that nothing noticed when a reader seeded them by hand: of versions, windows, doubtful commits, moves."""

from __future__ import annotations

from tests.mutants.mutant import PACKAGE, Edit, Mutant

BATCHES = "tests/archive/test_archive_batches.py"
CLOCKS = "tests/archive/test_clock_errors.py"
LISTING = "tests/machine/test_machine_listing_cycle.py"
FOLDERS = "tests/archive/test_durable_folders.py"
LANDING = "tests/archive/test_archive_landing.py"
POOL = "tests/archive/test_archive_pool.py"
STORAGE = "tests/cli/test_cli_storage.py"

OVERLOOKED = (
    Mutant(
        "older-bytes-for-the-newer",
        "what came of an older version counts as the newer one's files",
        "archive/settling.py",
        "sa.update(document).where(document.c.id == document_id).values(wanted_at=wanted_at)",
        "sa.select(sa.literal(wanted_at))",
        (f"{LANDING}::test_what_came_of_an_older_version_counts_as_none_of_the_newer_one_s_files",),
    ),
    Mutant(
        "halves-forget-the-reservation",
        "halves to be acknowledged count as reserved when the batch was halved",
        "archive/batch_rows.py",
        "newest_wanted(connection, document_ids) if parent is None else parent.reserved_at",
        "newest_wanted(connection, document_ids)",
        (f"{LANDING}::test_halves_of_a_refused_acknowledgement_remember_what_was_reserved",),
    ),
    Mutant(
        "version-not-after-its-company",
        "a new version may be older than what its company was reserved with",
        "archive/versions.py",
        "        .where(mates.c.batch_id == live, mates.c.carried),",
        "        .where(mates.c.batch_id == live, mates.c.carried, mate.c.id < 0),",
        (f"{CLOCKS}::test_row_20_a_new_version_is_newer_than_all_that_a_clock_ahead_noted",),
    ),
    Mutant(
        "version-not-after-its-bytes",
        "a new version may be older than the bytes that are there",
        "archive/versions.py",
        "sa.select(sa.func.max(file.c.seen_at)).where(file.c.document_id == document_id)",
        "sa.select(sa.func.max(file.c.seen_at)).where(file.c.document_id == -document_id)",
        (f"{CLOCKS}::test_row_20_a_new_version_is_newer_than_all_that_a_clock_ahead_noted",),
    ),
    Mutant(
        "version-not-after-reserved",
        "a new version may be older than the reservation it is not part of",
        "archive/versions.py",
        "sa.select(sa.func.max(batch.c.reserved_at)).where(batch.c.id == live)",
        "sa.select(sa.func.max(batch.c.reserved_at)).where(batch.c.id == -live)",
        (f"{CLOCKS}::test_row_20_a_new_version_is_newer_than_all_that_a_clock_ahead_noted",),
    ),
    Mutant(
        "bytes-before-they-were-wanted",
        "bytes that came after a clock was set back are older than what was wanted",
        "archive/versions.py",
        "max(now, row.wanted_at)",
        "min(now, row.wanted_at)",
        (f"{CLOCKS}::test_row_20_bytes_that_came_after_the_clock_was_set_back_are_those_that_were_wanted",),
    ),
    Mutant(
        "once-alone-always-alone",
        "what was fetched apart once is so for ever",
        "archive/landing.py",
        "        suspect=False,\n        alone=False,\n",
        "",
        (f"{LANDING}::test_each_landing_places_its_document_and_keeps_whatever_came",),
    ),
    Mutant(
        "reserved-when-answered",
        "a version listed during the reservation counts as reserved",
        "machine/batch.py",
        "reserved_at=event.known_at or now",
        "reserved_at=now",
        ("tests/machine/test_machine_table.py::test_a_reserved_batch_remembers_what_was_known_before_the_call",),
    ),
    Mutant(
        "rotten-counts-as-there",
        "a file that has rotten still counts as there when its document is sent for",
        "archive/integrity.py",
        "                    connection.execute(sa.update(document).where(document.c.id == row.id)"
        ".values(wanted_at=wanted_at))\n",
        "                    del wanted_at\n",
        ("tests/app/test_app_scrub.py::test_damaged_files_count_as_absent_once_they_are_requested_again",),
    ),
    Mutant(
        "earlier-move-vouches",
        "a commit in doubt counts as done where the batch has made such a move before",
        "archive/batches.py",
        'if any(json.loads(detail).get("epoch") == after.epoch for detail in details):',
        "if any(json.loads(detail) for detail in details):",
        (f"{BATCHES}::test_a_like_move_in_an_earlier_epoch_vouches_for_no_lost_commit",),
    ),
    Mutant(
        "neighbours-mark",
        "a refused document counts as marked where its neighbour is",
        "machine/errands.py",
        "any(listed.doc_id == claim.doc_ids[0] for listed in listing.documents)",
        "any(listed.doc_id for listed in listing.documents)",
        ("tests/machine/test_matrix_03_refusals.py::test_row_03_a_neighbour_that_is_marked_marks_no_document",),
    ),
    Mutant(
        "last-window-never-listed",
        "the rotation leaves out its last window",
        "machine/listing/scope.py",
        "older[turn % len(older) :][:1]",
        "older[turn % max(1, len(older) - 1) :][:1]",
        (f"{LISTING}::test_the_cycles_of_one_rotation_list_the_whole_history",),
    ),
    Mutant(
        "found-meanwhile-withdrawn",
        "what was found between the lists of the two phases counts as withdrawn",
        "machine/listing/cycle.py",
        "min(area.begun_at or begun_at, begun_at)",
        "max(area.begun_at or begun_at, begun_at)",
        (f"{LISTING}::test_a_document_discovered_between_the_two_phases_is_not_taken_for_withdrawn",),
    ),
    Mutant(
        "fractions-dropped",
        "what lies between two seconds is dropped where it is too much",
        "machine/listing/cycle.py",
        "            self._take_in(task, listing, begun_at)\n        self._tasks.popleft()\n        task.area.left",
        "            pass\n        self._tasks.popleft()\n        task.area.left",
        (f"{LISTING}::test_a_truncated_list_of_two_seconds_is_taken_in",),
    ),
    Mutant(
        "cut-list-forgotten",
        "a list cut short that could not be taken in is not asked for again",
        "machine/listing/cycle.py",
        "        halves = task.window.halves()\n        if halves is None:\n",
        "        self._tasks.popleft()\n        halves = task.window.halves()\n        if halves is None:\n",
        (f"{LISTING}::test_a_truncated_list_that_could_not_be_taken_in_is_listed_again",),
        says="assert len",
        also=(
            Edit(
                f"{PACKAGE}/machine/listing/cycle.py",
                "            self._tasks.popleft()\n            self._finish(task)\n            return\n",
                "            self._finish(task)\n            return\n",
            ),
            Edit(
                f"{PACKAGE}/machine/listing/cycle.py",
                "        self._tasks.popleft()\n        task.area.left += 1\n",
                "        task.area.left += 1\n",
            ),
        ),
    ),
    Mutant(
        "withdrawn-on-its-way",
        "what went on its way since it was looked for is withdrawn all the same",
        "archive/pool.py",
        ".where(document.c.id.in_(chunk), *still)",
        ".where(document.c.id.in_(chunk))",
        (f"{POOL}::test_what_a_worker_takes_while_it_is_looked_for_is_not_withdrawn",),
    ),
    Mutant(
        "broken-sync-above",
        "a folder above that was opened and cannot be synced is passed over",
        "effects.py",
        "with contextlib.suppress(StorageFault):  # where its parent",
        "with contextlib.suppress(StorageFault, StorageBroken):  # where its parent",
        (f"{FOLDERS}::test_row_12_a_sync_above_that_fails_is_a_broken_promise",),
    ),
    Mutant(
        "copied-not-synced",
        "a move that is repeated believes what the killed one had not synced",
        "archive/relocation.py",
        "        wanted = sorted(good | there)  #",
        "        wanted = sorted(good)  #",
        (f"{STORAGE}::test_row_13_what_a_killed_move_had_not_synced_is_synced_by_the_next",),
    ),
    Mutant(
        "copy-not-read-back",
        "a move does not read back what it copied",
        "archive/relocation.py",
        "        unproven = good - target.whole(good)\n",
        "        unproven = good - good\n",
        (f"{STORAGE}::test_a_copy_that_does_not_read_back_stops_the_move",),
    ),
)
