"""`phase`: set or clear the service's two phases by hand."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import click

from easytracking_sync.app.documents import find_documents
from easytracking_sync.app.phases import PhaseChange, Verb, change_phase, own_phase
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE, code_of, worst
from easytracking_sync.cli.global_options import NAME
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.quantities import count

PHASE = click.Choice(["1", "2"])
DOCUMENTS = click.argument("documents", metavar="DOC...", nargs=-1, required=True)


@click.group()
def phase() -> None:
    """Set or clear phase 1 or 2 of documents at the service. With DOC -, read documents from stdin."""


@phase.command(
    "set",
    epilog="""\b
The account's acknowledging phase (phase 1, unless it has acknowledge = "phase2") tells the service
that a document was downloaded. So it is refused for documents that are not stored here.

\b
Examples:
  easytracking-sync phase set 1 acme/4574622
  easytracking-sync phase set 2 4574622 4574623
  easytracking-sync invoices list --json | jq -r '"\\(.account)/\\(.doc_id)"' | easytracking-sync phase set 2 -

\b
Exit codes: 0 all are set, 2 unknown, ambiguous or not stored, 3 some were refused,
4 credentials refused, 75 the service is unavailable.""",
)
@click.argument("number", metavar="{1|2}", type=PHASE)
@DOCUMENTS
@click.option(
    "--force",
    is_flag=True,
    help="Also for documents that are not stored here; the service then no longer lists them as new.",
)
@pass_runtime
def set_phase(runtime: Runtime, number: str, documents: tuple[str, ...], *, force: bool) -> int:
    """Set a phase. A document that was held because its phase was cleared is no longer held."""
    return _change(runtime, Verb.SET, int(number), documents, force=force)


@phase.command(
    "clear",
    epilog="""\b
A document whose acknowledging phase is cleared is held: the service lists it as new again, but it
is not fetched or acknowledged here until its phase is set again.

\b
Examples:
  easytracking-sync phase clear 1 acme/4574622
  easytracking-sync phase clear 2 - < documents.txt

\b
Exit codes: 0 all are cleared, 2 unknown or ambiguous, 3 some were refused, 4 credentials refused,
75 the service is unavailable.""",
)
@click.argument("number", metavar="{1|2}", type=PHASE)
@DOCUMENTS
@pass_runtime
def clear(runtime: Runtime, number: str, documents: tuple[str, ...]) -> int:
    """Clear a phase. The files stored here are not changed."""
    return _change(runtime, Verb.CLEAR, int(number), documents, force=False)


def _change(runtime: Runtime, verb: Verb, phase: int, named: Sequence[str], *, force: bool) -> int:
    with runtime.archive() as archive:
        documents = find_documents(archive, _from_stdin(named))
        if not documents:
            raise click.UsageError("stdin names no document")
        changes = change_phase(
            runtime.settings, archive, documents, verb, phase, force=force, effects=runtime.effects
        )
    return _report(runtime, changes, verb, phase)


def _from_stdin(named: Iterable[str]) -> Iterator[str]:
    for name in named:
        if name == "-":
            for line in sys.stdin:
                yield from line.split()
        else:
            yield name


def _report(runtime: Runtime, changes: Sequence[PhaseChange], verb: Verb, phase: int) -> int:
    """Print one line for each document that failed, then how many succeeded; the exit code."""
    for change in changes:
        if change.trouble is not None:
            why = str(change.trouble).removeprefix(f"{change.document.account}: ")
            output.warn(f"{change.document.shown_id}: {why}")
    done = Counter(change.document.account for change in changes if change.trouble is None)
    what = "set" if verb is Verb.SET else "cleared"
    failed = len(changes) - sum(done.values())
    also = f"; {failed} failed, see above" if failed else ""
    click.echo(f"Phase {phase} is {what} for {count(sum(done.values()), 'document')}{also}")
    ours = [label for label in done if phase == own_phase(runtime.settings.accounts[label].acknowledge)]
    if ours and verb is Verb.CLEAR:
        held = count(sum(done[label] for label in ours), "document is", "documents are")
        click.echo(f"{held} held: not fetched or acknowledged until `{NAME} phase set {phase} DOC`")
    return worst(*(code_of(change.trouble) for change in changes if change.trouble is not None), DONE)
