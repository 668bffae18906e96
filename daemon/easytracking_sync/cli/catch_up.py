"""`catch-up`: fetch everything once, and print the result."""

from __future__ import annotations

from datetime import date

import click

from easytracking_sync import app
from easytracking_sync.app import CatchUpOutcome, CatchUpRequest
from easytracking_sync.cli import options, output
from easytracking_sync.cli.exit_codes import exit_code
from easytracking_sync.cli.global_options import NAME
from easytracking_sync.cli.options import SECONDS, require_order, require_past
from easytracking_sync.cli.progress import progress_of_documents
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.quantities import count, duration, size
from easytracking_sync.settings import Settings

HEADS = ("ACCOUNT", "ARCHIVED", "WAITING", "UNACKNOWLEDGED", "QUARANTINE", "INCOMPLETE", "PAUSED")


@click.command(
    "catch-up",
    epilog="""\b
It may be interrupted at any moment and started again: nothing is lost, nothing is fetched twice.
Without --deadline it stops when nothing has happened for 15 minutes.

\b
Examples:
  easytracking-sync catch-up
  easytracking-sync catch-up --dry-run
  easytracking-sync catch-up --account acme --from 2026-01-01 --deadline 3600

\b
Exit codes: 0 everything is archived and acknowledged, 2 wrong configuration or option, 3 done, but
documents are in quarantine or cannot be acknowledged, 4 credentials refused, 5 another instance works
on this archive, 74 the disk is full or failed, 75 not finished, 130 interrupted, 143 terminated; after
75, 130 and 143, run it again.""",
)
@options.ACCOUNTS
@options.FROM
@options.TO
@click.option("--new-only", is_flag=True, help="Only documents that are not marked at the service yet.")
@click.option("--dry-run", is_flag=True, help="List and count; change nothing, here or at the service.")
@click.option(
    "--deadline", metavar="SECONDS", type=SECONDS, help="Stop after this time; the next run continues the work."
)
@pass_runtime
def catch_up(
    runtime: Runtime,
    accounts: tuple[str, ...],
    start_day: date | None,
    end_day: date | None,
    *,
    new_only: bool,
    dry_run: bool,
    deadline: float | None,
) -> int:
    """Fetch every invoice that the service holds: resume what was left, list all history, fetch and acknowledge."""
    require_order(start_day, end_day, "--from and --to")
    labels = tuple(dict.fromkeys(label.lower() for label in accounts))
    require_past(start_day, runtime.effects.clock)
    outcome = run_catch_up(runtime, CatchUpRequest(labels, start_day, end_day, new_only, dry_run, deadline))
    if dry_run:
        _show_preview(outcome)
    else:
        show_outcome(outcome, runtime.settings)
    warn_of_problems(outcome)
    return exit_code(outcome)


def run_catch_up(runtime: Runtime, request: CatchUpRequest) -> CatchUpOutcome:
    """Run it with a progress bar."""
    with progress_of_documents(runtime.effects.clock) as shown:
        return app.catch_up(
            runtime.settings, request, effects=runtime.effects, progress=shown, observer=runtime.observer
        )


def warn_of_problems(outcome: CatchUpOutcome) -> None:
    """One line on stderr for each reason why the exit code is not 0."""
    warnings = [f"{label}: the service refuses the credentials; correct them" for label in outcome.refused_accounts]
    warnings += [outcome.storage_failure] if outcome.storage_failure else []
    warnings += [f"not finished: {outcome.why_unfinished}"] if not outcome.finished else []
    warnings += [f"{count(outcome.unreadable, 'list element')} without an id"] if outcome.unreadable else []
    warnings += (
        [f"{count(outcome.bugs, 'bug')} in this program; run it again with --log-level debug"] if outcome.bugs else []
    )
    for number, what in (
        (sum(one.quarantined for one in outcome.counts), "in quarantine"),
        (sum(one.unacknowledgeable for one in outcome.counts), "stored, but the service refuses the acknowledgement"),
    ):
        if number:
            warnings.append(f"{count(number, 'document')} {what}; see `{NAME} quarantine list`")
    for line in warnings:
        output.warn(line)


def _show_preview(outcome: CatchUpOutcome) -> None:
    rows = [(label, str(number)) for label, number in outcome.would_fetch.items()]
    output.show_table(("ACCOUNT", "WOULD FETCH"), rows, numbers={1})
    click.echo("Nothing was changed, here or at the service.")


def show_outcome(outcome: CatchUpOutcome, settings: Settings) -> None:
    """Print where every account's documents stand, what was fetched, and where the archive is."""
    rows = [
        (
            one.label,
            str(one.acknowledged),
            str(one.waiting - one.stored),
            str(one.stored),
            str(one.quarantined),
            str(one.incomplete),
            one.paused or "",
        )
        for one in outcome.counts
    ]
    if rows:
        output.show_table(HEADS, rows, numbers={1, 2, 3, 4, 5})
    fetched = f"{count(outcome.documents, 'document')}, {count(outcome.files, 'file')}, {size(outcome.bytes)}"
    click.echo(f"Fetched: {fetched}, in {duration(outcome.seconds)}")
    output.show_archive(settings)
