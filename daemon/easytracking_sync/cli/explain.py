"""`explain`: the whole story of one document, for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from easytracking_sync.archive.entries import DocumentEntry, Happening, Journey, Standing
from easytracking_sync.archive.room import Shortage
from easytracking_sync.cli import output
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.invoices import facts_of
from easytracking_sync.cli.runtime import Session, begin, shortage_of
from easytracking_sync.safe_text import visible
from easytracking_sync.terms import AcknowledgeWith, BatchState, DocumentState

TOLD: Mapping[str, str] = {
    "document.changed": "the service listed it with other fields: its files are wanted anew",
    "document.returned": "listed again, after the service had let go of it",
    "document.relisted": "listed as new again: fetched once more",
    "document.withdrawn": "the service does not list it any more",
    "document.set_apart": "its file names were another document's too: fetched alone",
    "document.set_back": "that attempt failed",
    "document.quarantined": "gave up for now: quarantine",
    "document.incomplete": "stored, though types were missing that had been asked for often enough",
    "document.bytes_changed": "came with other bytes than before: both versions are kept",
    "document.retried": "an operator had it tried again",
    "document.accepted": "an operator closed it",
    "document.held": "its phase is cleared on purpose: held",
    "document.released": "no longer held",
    "document.rotten": "its stored bytes had rotten: to be fetched again",
    "document.bare": "it had no file: to be fetched again",
    "phase.set": "an operator set its phase",
    "phase.cleared": "an operator cleared its phase",
    "batch.reserved": "a job was reserved for its batch",
    "batch.fetched": "the parcel arrived",
    "batch.stored": "what the parcel held is stored and committed",
    "batch.acknowledged": "read back whole, and the service told",
    "batch.acknowledged_again": "it was listed as new although told: told again",
    "batch.lost": "the job came to nothing: reserved again",
    "parcel.gone": "the spooled parcel was gone: fetched again",
    "batch.split": "its batch was split, to find what was refused",
    "batch.abandoned": "its batch was given up",
    "batch.refused": "the service refused to be told",
}
"""Each event in words; what is not here is shown by its name."""

NOT_DONE = (
    DocumentState.DISCOVERED,
    DocumentState.BATCHED,
    DocumentState.STORED,
    DocumentState.QUARANTINED,
)

UNDER_WAY: Mapping[BatchState, str] = {
    BatchState.PLANNED: "a job is reserved for it",
    BatchState.RESERVED: "its job is asked whether it is ready",
    BatchState.FETCHED: "its parcel is stored",
    BatchState.STORED: "it is read back and the service told",
}


@click.command(
    epilog="""\b
Example:
  easytracking-sync explain acme/4574622

Exit codes: 0 explained, 2 unknown or ambiguous document, 75 database out of reach.""",
)
@click.argument("document", metavar="DOC")
@click.pass_obj
def explain(invocation: Invocation, document: str) -> None:
    """Tell a document's whole story: its fields, its files in every version, what happened, and what happens next.

    DOC is ACCOUNT/ID, or ID alone where one account only has it.
    """
    session = begin(invocation)
    zone = session.settings.timezone
    with session.archive() as archive:
        entry = archive.catalogue.find(document)
        happenings = archive.catalogue.happenings(entry)
        journey = archive.catalogue.journey(entry)
        (standing,) = archive.catalogue.standings((entry.account,))
        short = shortage_of(archive)
    output.show_facts(facts_of(entry, zone))
    if entry.files:
        _say("Files")
        output.show_table(("TYPE", "VERSION", "NAME", "SIZE", "FETCHED", "SHA256"), list(_files(entry, zone)))
    _say("What happened")
    story = [(entry.discovered_at, "", "listed by the service for the first time", "")]
    story += [(one.at, f"batch {one.batch}" if one.batch else "", _words(one), _details(one)) for one in happenings]
    rows = [(_to_the_second(at, zone), batch, *told) for at, batch, *told in story]
    output.show_table(("WHEN", "BATCH", "WHAT", "DETAIL"), rows)
    _say("What happens next")
    for line in (*_next(session, entry, journey, standing), *_shortage(entry, short)):
        click.echo(visible(line))


def _say(title: str) -> None:
    click.echo()
    click.echo(click.style(title, bold=True))


def _files(entry: DocumentEntry, zone: ZoneInfo) -> Iterator[tuple[str, ...]]:
    versions: dict[str, int] = {}
    for part in entry.files:
        versions[part.type] = versions.get(part.type, 0) + 1
        fetched = output.moment(part.fetched_at, zone)
        yield part.type, str(versions[part.type]), part.name, output.size(part.size), fetched, part.sha256


def _words(happening: Happening) -> str:
    if happening.left:
        given_up = happening.name == "batch.abandoned"
        return f"its batch {'was given up' if given_up else 'went on without it'}: back to the pool"
    return TOLD.get(happening.name, happening.name)


def _details(happening: Happening) -> str:
    facts = dict(happening.detail)
    facts.pop("epoch", None)
    reason = str(facts.pop("reason", None) or "")
    if "documents" in facts:
        number = facts.pop("documents")
        facts |= {"travelling together": number} if number != 1 else {}
    facts = {("the list said before" if name == "before" else name): value for name, value in facts.items()}
    return "; ".join([reason] * bool(reason) + [f"{name}: {value}" for name, value in facts.items() if value])


def _to_the_second(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def _next(session: Session, entry: DocumentEntry, journey: Journey | None, standing: Standing) -> Iterator[str]:
    """What the machine will do about it, or a person has to, and what keeps it."""
    match entry.state:
        case DocumentState.DISCOVERED:
            yield from _waits(session, entry)
        case DocumentState.BATCHED | DocumentState.STORED:
            yield from _travels(session, entry, journey)
        case DocumentState.QUARANTINED:
            when = _when(session, entry.next_attempt_at)
            attempts = output.count(entry.attempts, "attempt")
            yield f"It is in quarantine after {attempts}: {entry.reason or 'no reason'}."
            yield f"It is tried again, alone, {when}; `{NAME} quarantine retry {entry.shown_id}` tries it now."
            yield f'`{NAME} quarantine accept {entry.shown_id} --reason "…"` closes it for good.'
        case DocumentState.ACKNOWLEDGED:
            yield from _is_home(session, entry, standing)
        case DocumentState.WITHDRAWN:
            yield "Nothing: the service does not list it any more. Should it list it again, it is fetched."
        case DocumentState.ACCEPTED:
            yield f"Nothing: an operator closed it ({entry.reason or 'without a reason'})."
    if entry.held:
        number = 2 if _acknowledges(session, standing) is AcknowledgeWith.PHASE2 else 1
        release = f"{NAME} phase set {number} {entry.shown_id}"
        yield f"It is held, since its phase was cleared here: left alone until `{release}`."
    if entry.state in NOT_DONE:
        yield from _obstacles(session, entry, standing)


def _waits(session: Session, entry: DocumentEntry) -> Iterator[str]:
    when = _when(session, entry.next_attempt_at)
    why = f": {entry.reason}" if entry.reason else ""
    if entry.attempts:
        most = session.settings.sync.max_attempts
        yield f"{output.count(entry.attempts, 'attempt')} of {most} failed{why}. It is asked for again {when}."
    elif entry.reason:
        yield f"It is asked for again {when}{why}."
    else:
        yield f"It is asked for {when}, by the running service or the next catch-up."


def _travels(session: Session, entry: DocumentEntry, journey: Journey | None) -> Iterator[str]:
    if entry.unacknowledgeable:
        yield f"It is stored, but the service refuses to be told: {entry.reason or 'no reason'}. It is tried daily."
        yield f'`{NAME} quarantine accept {entry.shown_id} --reason "…"` closes it for good.'
    if journey is None:
        yield f"No batch carries it, though it is {entry.state}; `{NAME} reconcile --repair` mends that."
        return
    others = f" with {output.count(journey.size - 1, 'other')}" if journey.size > 1 else ""
    when = _when(session, journey.next_attempt_at)
    yield f"It travels in batch {journey.batch}{others}; {when} {UNDER_WAY[journey.state]}."
    if journey.losses:
        yield f"Its job was lost {output.count(journey.losses, 'time')}; it is given longer each time."
    if journey.failures:
        tries = output.count(journey.failures, "try", "tries")
        yield f"The last {tries} failed for a passing reason; the pauses grow."


def _is_home(session: Session, entry: DocumentEntry, standing: Standing) -> Iterator[str]:
    if entry.acknowledged_at is not None:
        yield "Nothing: it is home, and the service was told."
    elif _acknowledges(session, standing) is AcknowledgeWith.NONE:
        yield 'Nothing: it is home, and the account leaves no trace (acknowledge = "none").'
    else:
        yield "It is home, and the service was not told." + ("" if entry.held else " It is, when it is listed again.")
    if entry.missing_types:
        yield f"It is incomplete: the service gave no {', '.join(entry.missing_types)} when asked several times."


def _obstacles(session: Session, entry: DocumentEntry, standing: Standing) -> Iterator[str]:
    if standing.paused_until is not None and standing.paused_until > session.effects.clock.now():
        until = output.moment(standing.paused_until, session.settings.timezone)
        yield f"Before that, the account is paused until {until}: {standing.pause_message or standing.pause_reason}."
    if standing.trouble and standing.trouble != standing.pause_message:
        yield f"The account's list does not come: {standing.trouble}."
    if standing.identity not in session.settings.labels:
        yield f"But the configuration has no account {entry.account}: nothing is done for it until it has."


def _shortage(entry: DocumentEntry, short: Shortage | None) -> Iterator[str]:
    if short is not None and entry.state in {DocumentState.DISCOVERED, DocumentState.QUARANTINED}:
        yield f"But nothing new is fetched until there is room: {short}."


def _when(session: Session, at: datetime | None) -> str:
    if at is None or at <= session.effects.clock.now():
        return "as soon as there is room"
    return f"after {_to_the_second(at, session.settings.timezone)}"


def _acknowledges(session: Session, standing: Standing) -> AcknowledgeWith | None:
    label = session.settings.labels.get(standing.identity)
    return None if label is None else session.settings.accounts[label].acknowledge
