"""`catch-up`: the one-shot, and what came of it."""

from __future__ import annotations

from datetime import date

import click

from easytracking_sync import app
from easytracking_sync.app import CatchUp, Outcome
from easytracking_sync.cli import options, output
from easytracking_sync.cli.exit_codes import exit_code
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.option_types import DAY, SECONDS, require_order, require_past
from easytracking_sync.cli.progress import progress
from easytracking_sync.cli.runtime import Session, begin
from easytracking_sync.safe_text import visible
from easytracking_sync.settings import Settings

HEADS = ("ACCOUNT", "HOME", "TO MARK", "WAITING", "QUARANTINE", "INCOMPLETE", "")


@click.command(
    "catch-up",
    epilog="""\b
It may be interrupted at any moment and started again: nothing is lost, nothing is fetched twice.
Without --deadline it gives up after 15 minutes in which nothing moved.

\b
Examples:
  easytracking-sync catch-up
  easytracking-sync catch-up --dry-run
  easytracking-sync catch-up --account acme --from 2026-01-01 --deadline 3600

\b
Exit codes:
  0   everything is archived and acknowledged
  2   the configuration or an option is wrong
  3   done, but documents are in quarantine or cannot be acknowledged
  4   the service refuses an account's credentials
  5   another instance works on this archive
  74  the disk is full or failed
  75  not finished; run it again
  130 interrupted, 143 terminated; run it again""",
)
@options.ACCOUNTS
@click.option("--from", "start", metavar="DAY", type=DAY, help="Only what was received on this day or later.")
@click.option("--to", "end", metavar="DAY", type=DAY, help="Only what was received on this day or earlier.")
@click.option("--new-only", is_flag=True, help="Only what nobody marked at the service yet.")
@click.option("--dry-run", is_flag=True, help="List and count; change nothing, here or at the service.")
@click.option(
    "--deadline", metavar="SECONDS", type=SECONDS, help="Stop after so long; what is left waits for the next run."
)
@click.pass_obj
def catch_up(
    invocation: Invocation,
    accounts: tuple[str, ...],
    start: date | None,
    end: date | None,
    *,
    new_only: bool,
    dry_run: bool,
    deadline: float | None,
) -> int:
    """Bring home every invoice the service holds: resume what was left, list all history, fetch, store, mark, end."""
    require_order(start, end, "--from and --to")
    labels = tuple(dict.fromkeys(label.lower() for label in accounts))
    request = CatchUp(labels, start, end, new_only, dry_run, deadline)
    session = begin(invocation)
    require_past(start, session.effects.clock)
    outcome = perform(session, request)
    (show_preview if dry_run else show_outcome)(outcome, session.settings)
    tell_problems(outcome)
    return exit_code(outcome)


def perform(session: Session, request: CatchUp) -> Outcome:
    """Run the one-shot under a progress bar."""
    with progress(session.effects.clock) as shown:
        return app.catch_up(
            session.settings, request, effects=session.effects, progress=shown, observer=session.observer
        )


def show_preview(outcome: Outcome, settings: Settings) -> None:
    """What a dry run found."""
    del settings
    rows = [(label, str(number)) for label, number in outcome.would_fetch.items()]
    output.show_table(("ACCOUNT", "WOULD FETCH"), rows, numbers={1})
    click.echo("Nothing was changed, here or at the service.")


def show_outcome(outcome: Outcome, settings: Settings) -> None:
    """What came home in this run, where every account stands, and where it all lies."""
    rows = [
        (
            one.label,
            str(one.acknowledged),
            str(one.stored),
            str(one.waiting - one.stored),
            str(one.quarantined),
            str(one.incomplete),
            one.paused or "",
        )
        for one in outcome.counts
    ]
    if rows:
        output.show_table(HEADS, rows, numbers={1, 2, 3, 4, 5})
    documents, files = output.count(outcome.documents, "document"), output.count(outcome.files, "file")
    click.echo(f"Came home: {documents}, {files}, {output.size(outcome.bytes)}, in {output.span(outcome.seconds)}")
    click.echo(f"It lies in {lies_in(settings)}")


def lies_in(settings: Settings) -> str:
    """Where the archive is, for a person."""
    path = settings.database.sqlite_path
    return str(path.absolute()) if path is not None else "the database of database.url"


def tell_problems(outcome: Outcome) -> None:
    """One line on stderr for each reason why the exit code is not 0."""
    said = [f"{label}: the service refuses the credentials; mend them" for label in outcome.refused_accounts]
    said += [outcome.storage_failure] if outcome.storage_failure else []
    said += [f"not finished: {outcome.why_unfinished}"] if not outcome.finished else []
    said += [f"{output.count(outcome.unreadable, 'list element')} without an id"] if outcome.unreadable else []
    said += [f"{output.count(outcome.bugs, 'bug')} met; see the log at --log-level debug"] if outcome.bugs else []
    for number, what in (
        (sum(one.quarantined for one in outcome.counts), "in quarantine"),
        (sum(one.unacknowledgeable for one in outcome.counts), "stored, but the service refuses the mark"),
    ):
        if number:
            said.append(f"{output.count(number, 'document')} {what}; see `{NAME} quarantine list`")
    for line in said:
        click.echo(f"{NAME}: {visible(line)}", err=True)
