"""Defects of the way to the service: answers believed, parcels believed, logins in a loop, secrets told."""

from __future__ import annotations

from tests.mutants.mutant import PACKAGE, Edit, Mutant

ANSWERS = "tests/machine/test_matrix_01_answers.py"
AUTH = "tests/remote/test_remote_auth.py"
CALLS = "tests/remote/test_remote_calls.py"
CONTAINER = "tests/remote/test_remote_zip_reader.py"
ELEMENT = "tests/remote/test_remote_list_element.py"
FETCH = "tests/remote/test_remote_fetch.py"
LISTING = "tests/remote/test_remote_listing.py"
PARCEL = "tests/remote/test_remote_parcel.py"
POOL = "tests/archive/test_archive_pool.py"

WIRE = (
    Mutant(
        "pending-taken-for-parcel",
        "202 is read as if it were the parcel",
        "remote/client.py",
        "if reply.status == 202:",
        "if reply.status == 102:",
        (f"{FETCH}::test_a_202_is_pending",),
    ),
    Mutant(
        "login-loop",
        "a refused login is trouble to be waited out",
        "remote/client.py",
        "if reply.status in {400, 401, 403}:",
        "if reply.status in {400}:",
        (f"{AUTH}::test_a_refused_login_is_tried_once",),
    ),
    Mutant(
        "fresh-token-doubted",
        "a fresh token that is refused is trouble to be waited out",
        "remote/client.py",
        '                raise CredentialsRefused(\n                    reply.problem(f"a fresh token',
        '                raise ServiceUnavailable(\n                    reply.problem(f"a fresh token',
        (f"{ANSWERS}::test_row_02_a_fresh_token_that_is_refused_pauses_that_account_alone",),
    ),
    Mutant(
        "token-never-renewed",
        "a token is used beyond its end",
        "remote/auth.py",
        "return token.renew_at is not None and",
        "return token.renew_at is None and",
        (f"{AUTH}::test_a_token_is_renewed_a_minute_before_it_expires",),
    ),
    Mutant(
        "login-for-every-thread",
        "threads that wait for a refused login each try it again",
        "remote/auth.py",
        "if self._logins_ended != before and self._failure is not None:",
        "if self._logins_ended < before and self._failure is not None:",
        (f"{AUTH}::test_threads_that_wait_for_a_refused_login_do_not_try_it_again",),
    ),
    Mutant(
        "101-ids-a-call",
        "a call may name more than a hundred ids",
        "remote/client.py",
        "if not 1 <= len(ids) <= MOST_IDS_PER_CALL:",
        "if not ids:",
        (f"{CALLS}::test_ids_that_the_service_would_refuse_are_never_sent",),
    ),
    Mutant(
        "list-without-bound",
        "a list may inflate without end",
        "remote/client.py",
        "if len(body) > MOST_LIST_BYTES:",
        "if len(body) < 0:",
        (f"{CALLS}::test_a_list_that_inflates_without_end_is_too_large",),
    ),
    Mutant(
        "redirects-followed",
        "a redirect is followed, with the token",
        "remote/http_client.py",
        "follow_redirects=False",
        "follow_redirects=True",
        (f"{CALLS}::test_a_redirect_is_named_and_never_followed",),
    ),
    Mutant(
        "cut-gzip-accepted",
        "a compressed answer that breaks off passes for whole",
        "remote/http_client.py",
        '        raise EOFError("cut short")\n',
        "        return\n",
        (f"{CALLS}::test_a_compressed_list_that_is_not_whole_is_no_list",),
    ),
    Mutant(
        "retry-after-date-ignored",
        "Retry-After is understood in seconds only",
        "remote/http_client.py",
        "return seconds if seconds is not None and seconds >= 0 else None",
        "return None",
        (f"{CALLS}::test_retry_after_is_read_in_seconds_or_as_a_date",),
    ),
    Mutant(
        "secret-in-an-error",
        "what the service echoes is shown with the password in it",
        "remote/speech.py",
        "for secret in (*self._lasting, *tuple(self._tokens)):",
        "for secret in tuple(self._tokens):",
        (f"{CALLS}::test_what_the_service_echoes_never_shows_a_secret",),
    ),
    Mutant(
        "secret-in-a-repr",
        "an endpoint shows its password",
        "remote/endpoint.py",
        "    password: str = field(repr=False)\n",
        "    password: str = field(repr=True)\n",
        ("tests/remote/test_remote_endpoint.py::test_a_repr_shows_no_secret",),
    ),
    Mutant(
        "page-taken-for-a-list",
        "an HTML page with status 200 passes for an empty list",
        "remote/document_list.py",
        '        raise ServiceUnavailable(f"the answer is {hint} ({len(body)} bytes)") from error\n',
        "        return iter(()), 0\n",
        (f"{LISTING}::test_what_is_no_whole_list_is_the_services_trouble",),
    ),
    Mutant(
        "odd-element-spoils-all",
        "an element without a usable id disappears without a word",
        "remote/document_list.py",
        "            unreadable.append(raw)\n",
        "            continue\n",
        (f"{LISTING}::test_an_element_without_a_usable_id_is_kept_apart",),
    ),
    Mutant(
        "fingerprint-of-fewer-fields",
        "a change of the last of the thirteen fields goes unseen",
        "list_element.py",
        "field.verbatim) for field in LIST_FIELDS)",
        "field.verbatim) for field in LIST_FIELDS[:-1])",
        (f"{LISTING}::test_the_fingerprint_sees_the_thirteen_values_and_nothing_else",),
    ),
    Mutant(
        "fingerprint-by-position",
        "a field that is not there counts in the fingerprint",
        "list_element.py",
        "        if given is None:\n            continue\n",
        "",
        (f"{ELEMENT}::test_a_fingerprint_is_of_what_is_there_however_many_fields_are_known",),
        also=(
            Edit(
                f"{PACKAGE}/list_element.py",
                "        if not (verbatim or _is_blank(given)):",
                "        if not verbatim:",
            ),
        ),
    ),
    Mutant(
        "notation-counts-as-change",
        "a document is fetched again because its list element is written otherwise",
        "archive/intake.py",
        "                if not means_the_same(row.raw, element):",
        "                if row.raw != element.raw:",
        (f"{POOL}::test_another_notation_of_the_same_fields_changes_nothing",),
    ),
    Mutant(
        "new-field-counts-as-change",
        "a field that was not known when an element was kept changes its document",
        "list_element.py",
        "_agree(read, earlier[wire], later[wire], zone)\n        for _, wire, read, verbatim in _TABLE\n"
        "        if wire in earlier and wire in later and not verbatim",
        "_agree(read, earlier.get(wire), later.get(wire), zone)\n        for _, wire, read, verbatim in _TABLE\n"
        "        if not verbatim",
        (f"{POOL}::test_a_field_that_was_not_known_before_is_taken_in_and_is_no_change",),
    ),
    Mutant(
        "new-field-never-taken-in",
        "what the list says of a document beyond what was known of it is never kept",
        "archive/intake.py",
        "                if says_no_less(row.raw, element):",
        "                if not says_no_less(row.raw, element):",
        (f"{POOL}::test_a_field_that_was_not_known_before_is_taken_in_and_is_no_change",),
    ),
    Mutant(
        "stranger-accepted",
        "a document nobody asked for is taken from the parcel",
        "remote/parcel.py",
        "if row.doc_id in requested - collided]",
        "if row.doc_id not in collided]",
        (f"{PARCEL}::test_a_parcel_of_another_batch_has_strangers_only",),
    ),
    Mutant(
        "colliding-names-merged",
        "of two documents that share a name, each gets the same file",
        "remote/parcel.py",
        "if len(doc_ids) > 1 or (len(holders) > len(owners) and not is_alone):",
        "if len(holders) > len(owners) and not is_alone:",
        (f"{PARCEL}::test_documents_that_share_a_name_are_to_be_fetched_apart",),
    ),
    Mutant(
        "own-names-overwritten",
        "of one document's files of one name, the last is kept",
        "remote/parcel.py",
        "for place in range(max(len(owners), len(holders))):",
        "for place in range(max(len(owners), len(holders)) - 1, max(len(owners), len(holders))):",
        (f"{PARCEL}::test_one_documents_own_files_of_one_name_are_all_kept_in_order",),
    ),
    Mutant(
        "inflate-without-bound",
        "a file may inflate beyond max_file_bytes",
        "remote/parcel.py",
        "    if entry.size > limits.most_file_bytes:\n        raise EntryBad(",
        "    if entry.size < 0:\n        raise EntryBad(",
        (f"{PARCEL}::test_a_file_beyond_the_limit_spoils_that_file_only_and_is_not_even_inflated",),
    ),
    Mutant(
        "bomb-that-lies",
        "a file may inflate to more than it says",
        "remote/zip_reader.py",
        "            if count > entry.size:\n",
        "            if count < 0:\n",
        (f"{CONTAINER}::test_a_bomb_is_refused_at_the_limit_in_bounded_memory",),
    ),
    Mutant(
        "checksum-ignored",
        "the checksum of an entry is not compared",
        "remote/zip_reader.py",
        "    if crc != entry.crc:\n",
        "    if crc < 0:\n",
        (f"{PARCEL}::test_a_wrong_checksum_spoils_that_file_only",),
    ),
    Mutant(
        "overlap-accepted",
        "entries of a zip may overlap",
        "remote/zip_reader.py",
        "if any(first.ends_at > second.starts_at for first, second in pairwise(by_place)):",
        "if any(first.ends_at < 0 for first, second in pairwise(by_place)):",
        (f"{CONTAINER}::test_overlapping_entries_are_bad",),
    ),
    Mutant(
        "page-in-front-accepted",
        "something may stand in front of a zip",
        "remote/zip_reader.py",
        "if (by_place[0].starts_at if by_place else frame.start) != 0:",
        "if (by_place[0].starts_at if by_place else frame.start) < 0:",
        (f"{CONTAINER}::test_anything_in_front_is_bad",),
    ),
    Mutant(
        "two-zips-accepted",
        "of two end records that fit, the last is believed",
        "remote/zip_reader.py",
        "    if len(frames) > 1:\n",
        "    if len(frames) > 99:\n",
        (f"{CONTAINER}::test_a_comment_that_is_an_end_record_too_makes_the_zip_ambiguous",),
    ),
    Mutant(
        "torn-parcel-stored",
        "a parcel larger than its bound goes on into the spool",
        "remote/reply.py",
        "        if count > most_bytes:\n",
        "        if count < 0:\n",
        (f"{FETCH}::test_a_parcel_beyond_the_cap_stops_there",),
    ),
)
