"""Defects of what commands and an HTTP API ask for: a status that soothes, a story without its obstacle."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

CASES = "tests/app/test_app_use_cases.py"
CHECK = "tests/cli/test_cli_check.py"
EXPLAIN = "tests/cli/test_cli_explain.py"
INVOICES = "tests/cli/test_cli_invoices.py"
PROBE = "tests/cli/test_cli_status_check.py"

USE_CASES = (
    Mutant(
        "next-run-within-a-pause",
        "status shows a next run within a pause in which nothing is listed",
        "app/status.py",
        "        at = max(at, account.paused_until)\n",
        "        at = min(at, account.paused_until)\n",
        (f"{CASES}::test_status_knows_the_configurations_accounts_and_when_each_is_listed_next",),
    ),
    Mutant(
        "never-ran-is-well",
        "an account that never ran does not count in the health of the installation",
        "app/status.py",
        "[label for label, found in ids.items() if found is None]",
        "[label for label, found in ids.items() if found is not None and not found]",
        (f"{CASES}::test_health_is_graded_by_its_worst_reason_and_names_accounts_that_never_ran",),
    ),
    Mutant(
        "full-disk-a-warning",
        "a disk below the reserve, so that nothing is fetched, is only a warning",
        "app/status.py",
        "alarm.amount >= limits.critical_bytes:",
        "alarm.amount >= 0:",
        (f"{PROBE}::test_a_disk_below_the_reserve_is_critical",),
    ),
    Mutant(
        "obstacles-untold",
        "explain does not say that a paused account keeps a document waiting",
        "app/explain.py",
        "    if document.state in NOT_DONE:\n",
        "    if document.state not in NOT_DONE:\n",
        (f"{CASES}::test_an_explanation_says_what_happens_next_and_what_prevents_it",),
    ),
    Mutant(
        "reason-writes-lines",
        "a reason from elsewhere may write lines of its own into an explanation",
        "cli/explain.py",
        "visible(one.reason) or",
        "one.reason or",
        (f"{EXPLAIN}::test_a_reason_with_line_breaks_adds_no_lines",),
    ),
    Mutant(
        "closed-without-a-reason",
        "a document is closed for good and nobody knows why",
        "app/documents.py",
        "    if not reason:\n",
        "    if reason is None:\n",
        (f"{CASES}::test_no_document_is_accepted_without_a_reason",),
    ),
    Mutant(
        "label-taken-back",
        "an account is renamed although the configuration still has the old label",
        "app/accounts.py",
        "    if label is None or label == new:\n",
        "    if label is None or label == old:\n",
        (f"{CASES}::test_a_label_that_the_configuration_has_is_never_taken_from_it",),
    ),
    Mutant(
        "export-of-nobody",
        "an account that does not exist is exported as nothing, without a word",
        "app/documents.py",
        "    known_accounts(settings, archive, filters.accounts)\n",
        "",
        (f"{CASES}::test_documents_are_found_once_each_and_accounts_that_do_not_exist_are_refused",),
    ),
    Mutant(
        "misspelled-file-type",
        "an export of a misspelled type of file writes nothing and reports success",
        "app/export.py",
        "    require_file_types(archive, types)\n",
        "",
        (f"{INVOICES}::test_a_type_of_file_that_cannot_match_is_refused_before_anything_is_written",),
    ),
    Mutant(
        "misspelled-document-type",
        "a misspelled document type matches nothing, without a word",
        "app/documents.py",
        "        if value not in known and not is_stored(value):\n",
        "        if not value:\n",
        (f"{INVOICES}::test_a_document_type_that_cannot_match_is_refused",),
    ),
    Mutant(
        "archive-open-to-all",
        "an archive that every user can read counts as private",
        "app/check/installation.py",
        "    if not mode & 0o077:\n",
        "    if not mode & 0o022:\n",
        (
            f"{CHECK}::test_a_file_with_secrets_that_everybody_can_read_is_a_warning",
            f"{CASES}::test_a_finding_has_its_kind_of_error",
        ),
    ),
    Mutant(
        "account-takes-over-anothers-documents",
        "an account is moved to an identity that another account of the archive has",
        "archive/accounts.py",
        "            if other is not None and other != moved.id:\n",
        "            if other is not None and other == moved.id:\n",
        ("tests/cli/test_cli_accounts.py::test_an_account_never_takes_over_the_documents_of_another",),
    ),
)
