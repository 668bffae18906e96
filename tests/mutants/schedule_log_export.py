"""Defects around the machine: the schedule, the log, names on disk."""

from __future__ import annotations

from tests.mutants.mutant import PACKAGE, Edit, Mutant

SCHEDULE = "tests/service/test_service_schedule.py"
INVOICES = "tests/cli/test_cli_invoices.py"
LOG = "tests/observe/test_observe_log.py"
NAMES = "tests/cli/test_safe_file_names.py"

SCHEDULE_LOG_EXPORT = (
    Mutant(
        "no-watchdog",
        "nobody notices a scheduler that has died",
        "app/schedule.py",
        "> max(OVERDUE_GAPS * entry.gap_seconds, LEAST_OVERDUE_SECONDS)",
        "> 1e9",
        (f"{SCHEDULE}::test_row_20_a_scheduler_that_died_is_replaced_within_two_intervals",),
    ),
    Mutant(
        "sleep-not-noticed",
        "a machine that slept for days waits for the next turn",
        "app/schedule.py",
        "            if apart > 0:",
        "            if apart < -JUMP_SECONDS * JUMP_SECONDS * now:",
        (f"{SCHEDULE}::test_row_20_after_a_clock_set_forward_or_a_sleep_missed_runs_are_triggered_once",),
    ),
    Mutant(
        "misfires-dropped",
        "APScheduler drops a run that is a second late",
        "app/schedule.py",
        '"misfire_grace_time": None',
        '"misfire_grace_time": 1',
        (f"{SCHEDULE}::test_row_20_a_run_that_is_late_is_not_dropped",),
    ),
    Mutant(
        "weekdays-from-monday",
        "cron's weekdays are counted as APScheduler counts them",
        "app/schedule.py",
        'day_of_week=",".join(WEEKDAYS[number] for number in weekdays)',
        'day_of_week=",".join(str(number % 7) for number in weekdays)',
        (f"{SCHEDULE}::test_cron_counts_its_weekdays_from_sunday",),
    ),
    Mutant(
        "log-that-raises",
        "a log that cannot be written stops the work",
        "observe/log.py",
        "        with contextlib.suppress(Exception):\n            line = self._lines",
        "        with contextlib.suppress(KeyError):\n            line = self._lines",
        (f"{LOG}::test_row_25_logging_never_raises",),
        also=(
            Edit(
                f"{PACKAGE}/observe/log.py",
                "        with contextlib.suppress(Exception):\n            bug =",
                "        with contextlib.suppress(KeyError):\n            bug =",
            ),
        ),
    ),
    Mutant(
        "secret-in-the-log",
        "the log shows the secrets it knows",
        "redaction.py",
        "            text = text.replace(secret, HIDDEN)\n",
        "            text = text.replace(secret, secret)\n",
        (f"{LOG}::test_no_secret_leaks_by_key_or_by_value",),
    ),
    Mutant(
        "path-from-the-zip",
        "a name from outside may be a path",
        "safe_file_names.py",
        'last = re.split(r"[/\\\\]", name)[-1]',
        "return name",
        (f"{INVOICES}::test_every_file_comes_out_byte_for_byte_whatever_its_name", f"{NAMES}::test_examples"),
    ),
    Mutant(
        "export-overwrites",
        "an export overwrites what is there",
        "app/export.py",
        "        if os.path.lexists(target):\n            self._compare(part, target)\n            return\n",
        "        target.unlink(missing_ok=True)\n",
        (f"{INVOICES}::test_an_export_never_overwrites_and_reports_what_differs",),
    ),
)
