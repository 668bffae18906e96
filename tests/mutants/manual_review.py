"""Defects that nothing noticed when a reader seeded them by hand: of versions, windows, doubtful commits, moves."""

from __future__ import annotations

from tests.mutants.mutant import PACKAGE, Edit, Mutant

BATCHES = "tests/archive/test_archive_batches.py"
CLOCKS = "tests/archive/test_clock_repair.py"
LISTING = "tests/machine/test_machine_listing_cycle.py"
FOLDERS = "tests/archive/test_durable_folders.py"
STORED_FILES = "tests/archive/test_archive_files.py"
POOL = "tests/archive/test_archive_pool.py"
STORAGE = "tests/cli/test_cli_storage.py"
VERDICT = "tests/machine/test_machine_verdict.py"

MANUAL_REVIEW = (
    Mutant(
        "older-bytes-for-the-newer",
        "what came of an older version counts as the newer one's files",
        "machine/verdict.py",
        "if file.version >= carried.version}",
        "if file.version}",
        (f"{VERDICT}::test_files_of_an_older_version_do_not_complete_a_newer_one",),
    ),
    Mutant(
        "halves-forget-the-reservation",
        "halves to be acknowledged count as reserved when the batch was halved",
        "machine/decision.py",
        "{one.document_id: one.version for one in half}",
        "{one.document_id: one.document.version for one in half}",
        (f"{STORED_FILES}::test_halves_of_a_refused_acknowledgement_remember_what_was_reserved",),
    ),
    Mutant(
        "version-not-raised",
        "a change that is listed makes no newer version",
        "machine/document.py",
        "version=document.version + 1, wanted_at=now)",
        "version=document.version, wanted_at=now)",
        (f"{CLOCKS}::test_row_20_a_new_version_is_newer_than_all_that_a_clock_ahead_noted",),
    ),
    Mutant(
        "bytes-of-the-version-that-is-wanted",
        "bytes count as the version that is wanted when they come, not as the reserved one",
        "machine/decision.py",
        "made.append(NewFile(one.carried.document_id, ordinal, file, one.carried.version))",
        "made.append(NewFile(one.carried.document_id, ordinal, file, one.carried.document.version))",
        (f"{STORED_FILES}::test_what_came_of_an_older_version_counts_as_none_of_the_newer_one_s_files",),
    ),
    Mutant(
        "reserved-for-the-planned-version",
        "what is reserved counts as the version it was planned for",
        "archive/batches.py",
        "    if row.state == BatchState.PLANNED:\n        newer",
        "    if row.state == BatchState.SPLIT:\n        newer",
        (f"{STORED_FILES}::test_a_version_listed_before_the_reservation_is_the_one_that_is_reserved",),
    ),
    Mutant(
        "same-bytes-stay-the-older-version-s",
        "the same bytes again do not count as the newer version's",
        "machine/decision.py",
        "        if known.version < one.carried.version\n",
        "        if known.version > one.carried.version\n",
        (f"{STORED_FILES}::test_the_same_bytes_again_are_the_same_file",),
    ),
    Mutant(
        "once-alone-always-alone",
        "what was fetched apart once is so for ever",
        "machine/document.py",
        "suspect=False, alone=False, reason=None)\n    return replace(fresh, state=STORED",
        "suspect=False, reason=None)\n    return replace(fresh, state=STORED",
        (f"{STORED_FILES}::test_each_verdict_places_its_document_and_keeps_whatever_came",),
    ),
    Mutant(
        "reserved-when-answered",
        "a version listed during the reservation counts as reserved",
        "archive/batches.py",
        "    if row.state == BatchState.PLANNED:\n        newer",
        "    if row.state in (BatchState.PLANNED, BatchState.RESERVED):\n        newer",
        (f"{STORED_FILES}::test_what_came_of_an_older_version_counts_as_none_of_the_newer_one_s_files",),
    ),
    Mutant(
        "rotten-counts-as-there",
        "a file that has rotten still counts as there when its document is sent for",
        "machine/document.py",
        "    return replace(_newer(fresh, event, now, policy), state=DISCOVERED",
        "    return replace(fresh, state=DISCOVERED",
        ("tests/app/test_app_scrub.py::test_damaged_files_count_as_absent_once_they_are_requested_again",),
    ),
    Mutant(
        "earlier-move-vouches",
        "a commit in doubt counts as done where the batch has made such a move before",
        "archive/transitions.py",
        'if any(json.loads(detail).get("epoch") == move.after.epoch for detail in details):',
        "if any(json.loads(detail) for detail in details):",
        (f"{BATCHES}::test_a_like_move_in_an_earlier_epoch_vouches_for_no_lost_commit",),
    ),
    Mutant(
        "neighbours-mark",
        "a refused document counts as marked where its neighbour is",
        "machine/batch_effects.py",
        "any(listed.doc_id == claim.doc_ids[0] for listed in listing.documents)",
        "any(listed.doc_id for listed in listing.documents)",
        ("tests/machine/test_matrix_03_refusals.py::test_row_03_a_marked_neighbour_does_not_mark_a_document",),
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
        "archive/documents.py",
        "        if moved_on:\n            raise Outdated",
        "        if moved_on == [0]:\n            raise Outdated",
        (f"{POOL}::test_what_a_worker_takes_while_it_is_looked_for_is_not_withdrawn",),
    ),
    Mutant(
        "broken-sync-above",
        "a folder above that was opened and cannot be synced is passed over",
        "effects.py",
        "with contextlib.suppress(StorageFault):  # a parent that",
        "with contextlib.suppress(StorageFault, StorageBroken):  # a parent that",
        (f"{FOLDERS}::test_row_12_a_sync_above_that_fails_is_a_broken_promise",),
    ),
    Mutant(
        "copied-not-synced",
        "a move that is repeated believes what the killed one had not synced",
        "archive/blob_move.py",
        "        wanted = sorted(good | there)  #",
        "        wanted = sorted(good)  #",
        (f"{STORAGE}::test_row_13_what_a_killed_move_had_not_synced_is_synced_by_the_next",),
    ),
    Mutant(
        "copy-not-read-back",
        "a move does not read back what it copied",
        "archive/blob_move.py",
        "        unproven = good - target.whole(good)\n",
        "        unproven = good - good\n",
        (f"{STORAGE}::test_a_copy_that_does_not_read_back_stops_the_move",),
    ),
)
