"""`phase`: set or clear the service's two marks by hand."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import click

from easytracking_sync.app.phases import PhaseChange, Verb, change_phase, own_phase
from easytracking_sync.archive.entries import DocumentEntry
from easytracking_sync.archive.store import Archive
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE, code_of, worst
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.runtime import Session, begin
from easytracking_sync.safe_text import visible

PHASE = click.Choice(["1", "2"])
DOCUMENTS = click.argument("documents", metavar="DOC...", nargs=-1, required=True)


@click.group()
def phase() -> None:
    """Set or clear phase 1 or 2 of documents at the service, in hundreds. DOC may be -: then they come from stdin."""


@phase.command(
    "set",
    epilog="""\b
The phase that acknowledges (phase 1, unless the account says acknowledge = "phase2") tells the
service that a document is home. So it is refused for documents that are not stored here.

\b
Examples:
  easytracking-sync phase set 1 acme/4574622
  easytracking-sync phase set 2 4574622 4574623
  easytracking-sync invoices list --json | jq -r '"\\(.account)/\\(.doc_id)"' | easytracking-sync phase set 2 -

\b
Exit codes: 0 all are set, 2 unknown, ambiguous or not stored, 3 some were refused,
4 credentials refused, 75 the service does not answer.""",
)
@click.argument("number", metavar="{1|2}", type=PHASE)
@DOCUMENTS
@click.option("--force", is_flag=True, help="Also what is not stored here: nobody will then find it missing.")
@click.pass_obj
def set_phase(invocation: Invocation, number: str, documents: tuple[str, ...], *, force: bool) -> int:
    """Set a phase. A document whose phase was cleared before is no longer held."""
    return _change(begin(invocation), Verb.SET, int(number), documents, force=force)


@phase.command(
    "clear",
    epilog="""\b
A document whose acknowledging phase is cleared is held: it is listed as new again, by us and by
others, but left alone here until its phase is set again.

\b
Examples:
  easytracking-sync phase clear 1 acme/4574622
  easytracking-sync phase clear 2 - < documents.txt

\b
Exit codes: 0 all are cleared, 2 unknown or ambiguous, 3 some were refused, 4 credentials refused,
75 the service does not answer.""",
)
@click.argument("number", metavar="{1|2}", type=PHASE)
@DOCUMENTS
@click.pass_obj
def clear(invocation: Invocation, number: str, documents: tuple[str, ...]) -> int:
    """Clear a phase. The copy here stays as it is."""
    return _change(begin(invocation), Verb.CLEAR, int(number), documents, force=False)


def _change(session: Session, verb: Verb, phase: int, named: Sequence[str], *, force: bool) -> int:
    with session.archive() as archive:
        documents = _found(archive, _from_stdin(named))
        changes = change_phase(
            session.settings, archive, documents, verb, phase, force=force, effects=session.effects
        )
    return _report(session, changes, verb, phase)


def _from_stdin(named: Iterable[str]) -> Iterator[str]:
    for name in named:
        if name == "-":
            for line in sys.stdin:
                yield from line.split()
        else:
            yield name


def _found(archive: Archive, named: Iterable[str]) -> list[DocumentEntry]:
    documents = [archive.catalogue.find(name) for name in dict.fromkeys(named)]
    if not documents:
        raise click.UsageError("stdin names no document")
    return documents


def _report(session: Session, changes: Sequence[PhaseChange], verb: Verb, phase: int) -> int:
    """One line for each document that failed, then how many went well; the exit code."""
    for change in changes:
        if change.trouble is not None:
            why = str(change.trouble).removeprefix(f"{change.document.account}: ")
            click.echo(f"{NAME}: {change.document.shown_id}: {visible(why)}", err=True)
    done = Counter(change.document.account for change in changes if change.trouble is None)
    what = "set" if verb is Verb.SET else "cleared"
    total = output.count(sum(done.values()), "document")
    failed = len(changes) - sum(done.values())
    click.echo(f"Phase {phase} is {what} for {total}" + (f"; {failed} failed, see above" if failed else ""))
    ours = [label for label in done if phase == own_phase(session.settings.accounts[label].acknowledge)]
    if ours and verb is Verb.CLEAR:
        held = sum(done[label] for label in ours)
        pronoun = "It is" if held == 1 else "They are"
        click.echo(f"{pronoun} held: left alone here until `{NAME} phase set {phase} DOC`")
    return worst(*(code_of(change.trouble) for change in changes if change.trouble is not None), DONE)
