"""`explain`: one document's history, and what happens next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from easytracking_sync.app.explain import Expectation, Explanation, Prospect, explain_document
from easytracking_sync.archive.document_entries import DocumentEntry, HistoryEntry
from easytracking_sync.cli import options, output
from easytracking_sync.cli.global_options import NAME
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.events import EventName, meaning_of
from easytracking_sync.quantities import count, size
from easytracking_sync.safe_text import visible
from easytracking_sync.terms import Batch, BatchState

EFFECTS: Mapping[BatchState, str] = {
    BatchState.PLANNED: "a job is reserved for it",
    BatchState.RESERVED: "its job is asked for the parcel",
    BatchState.FETCHED: "its parcel is stored",
    BatchState.STORED: "it is read back and acknowledged",
}

ACCEPT = f'\n`{NAME} quarantine accept {{doc}} --reason "…"` closes it for good.'

SENTENCES: Mapping[Prospect, str] = {
    Prospect.FETCHED: "It is fetched {when}, by the running service or the next catch-up.",
    Prospect.FETCHED_AGAIN: "It is fetched again {when}: {reason}.",
    Prospect.ATTEMPTS_FAILED: "{number} of {most} attempts failed: {reason}. It is fetched again {when}.",
    Prospect.IN_BATCH: "{batch}",
    Prospect.NO_BATCH: f"No batch carries it, though it is {{state}}; `{NAME} reconcile --repair` repairs that.",
    Prospect.ACKNOWLEDGEMENT_REFUSED: (
        "It is stored, but the service refuses its acknowledgement: {reason}. It is tried again daily." + ACCEPT
    ),
    Prospect.QUARANTINED: (
        "It is in quarantine after {attempts}: {reason}.\n"
        f"It is tried again, alone, {{when}}; `{NAME} quarantine retry {{doc}}` tries it now." + ACCEPT
    ),
    Prospect.DONE: "Nothing: it is stored and acknowledged.",
    Prospect.DONE_WITHOUT_TRACE: 'Nothing: it is stored; the account does not acknowledge (acknowledge = "none").',
    Prospect.NOT_ACKNOWLEDGED: "It is stored and not acknowledged. It is acknowledged when it is listed again.",
    Prospect.NEVER_ACKNOWLEDGED: "It is stored and not acknowledged.",
    Prospect.INCOMPLETE: "It is incomplete: the service gave no {reason} when asked several times.",
    Prospect.WITHDRAWN: "Nothing: the service does not list it any more. If it is listed again, it is fetched.",
    Prospect.ACCEPTED: "Nothing: an operator accepted it as it is ({reason}).",
    Prospect.HELD: (
        f"It is held, since its phase was cleared here: it is left alone until `{NAME} phase set {{number}} {{doc}}`."
    ),
    Prospect.ACCOUNT_PAUSED: "Before that, the account is paused until {until}: {reason}.",
    Prospect.LIST_FAILS: "The account cannot be listed: {reason}.",
    Prospect.NOT_CONFIGURED: "The configuration has no account {account}: nothing is fetched for it until it has.",
    Prospect.DISK_FULL: "Nothing new is fetched until there is disk space: {reason}.",
}


@click.command(
    epilog="""\b
Example:
  easytracking-sync explain acme/4574622

Exit codes: 0 explained, 2 unknown or ambiguous document, 75 database unavailable.""",
)
@options.DOCUMENT
@pass_runtime
def explain(runtime: Runtime, document: str) -> None:
    """Show a document's fields, its files in every version, its history, and what happens next.

    DOC is ACCOUNT/ID, or ID alone if only one account has it.
    """
    zone = runtime.settings.timezone
    with runtime.archive() as archive:
        told = explain_document(archive, runtime.settings, document, now := runtime.effects.clock.now())
    output.show_facts(output.document_facts(told.document, zone))
    if told.document.files:
        output.show_title("Files")
        heads = ("TYPE", "VERSION", "NAME", "SIZE", "FETCHED", "SHA256")
        output.show_table(heads, list(_files(told.document, zone)))
    output.show_title("History")
    output.show_table(("WHEN", "BATCH", "WHAT", "DETAIL"), list(_history(told, zone)))
    output.show_title("What happens next")
    for one in told.expectations:
        for line in _sentence(one, told.document, zone, now).splitlines():
            click.echo(line)


def _files(entry: DocumentEntry, zone: ZoneInfo) -> Iterator[tuple[str, ...]]:
    versions: dict[str, int] = {}
    for part in entry.files:
        versions[part.type] = versions.get(part.type, 0) + 1
        fetched = output.moment(part.fetched_at, zone)
        yield part.type, str(versions[part.type]), part.name, size(part.size), fetched, part.sha256


def _history(told: Explanation, zone: ZoneInfo) -> Iterator[tuple[str, ...]]:
    yield _to_the_second(told.document.discovered_at, zone), "", "listed by the service for the first time", ""
    for one in (one for one in told.history if one.name != EventName.DOCUMENT_DISCOVERED):
        batch = f"batch {one.batch}" if one.batch else ""
        yield _to_the_second(one.at, zone), batch, _words(one), _details(one)


def _words(happening: HistoryEntry) -> str:
    if happening.left:
        abandoned = happening.name == EventName.BATCH_ABANDONED
        return f"its batch {'was abandoned' if abandoned else 'went on without it'}: to be fetched again"
    if "missing" in happening.detail:
        return "stored without file types that the service did not give when asked several times"
    return meaning_of(happening.name)


def _details(happening: HistoryEntry) -> str:
    facts = dict(happening.detail)
    facts.pop("epoch", None)
    reason = str(facts.pop("reason", None) or "")
    if facts.get("documents") == 1:
        del facts["documents"]
    names = {"before": "the list before the change", "documents": "documents in the batch"}
    return "; ".join(
        [reason] * bool(reason) + [f"{names.get(name, name)}: {value}" for name, value in facts.items() if value]
    )


def _sentence(one: Expectation, document: DocumentEntry, zone: ZoneInfo, now: datetime) -> str:
    when = "as soon as possible" if one.at is None or one.at <= now else f"after {_to_the_second(one.at, zone)}"
    return SENTENCES[one.what].format(
        account=document.account,
        attempts=count(one.number, "attempt"),
        doc=document.shown_id,
        batch="" if one.batch is None else _in_batch(one.batch, when),
        most=one.most,
        number=one.number,
        reason=visible(one.reason) or "no reason given",
        state=document.state,
        until=output.moment(one.at, zone),
        when=when,
    )


def _in_batch(batch: Batch, when: str) -> str:
    others = f" with {count(batch.size - 1, 'other')}" if batch.size > 1 else ""
    told = f"It is in batch {batch.id}{others}; {when} {EFFECTS[batch.state]}."
    if batch.losses:
        told += f"\nIts job was lost {count(batch.losses, 'time')}; the next one gets more time."
    if batch.failures:
        told += f"\nThe last {count(batch.failures, 'attempt')} failed for a temporary reason; the pauses grow."
    return told


def _to_the_second(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")
