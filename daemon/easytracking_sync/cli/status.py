"""`status`: where each account stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from easytracking_sync.app import archive_of, json_objects
from easytracking_sync.app.alerts import fullest_disk, limits_of, silent_at
from easytracking_sync.app.health import Grade, Room, Verdict, unknown, verdict
from easytracking_sync.archive.entries import Standing
from easytracking_sync.archive.room import Shortage
from easytracking_sync.archive.schema import require_current, revision, shown
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE
from easytracking_sync.cli.global_options import Invocation
from easytracking_sync.cli.runtime import Session, begin, shortage_of
from easytracking_sync.errors import DatabaseUnavailable, StorageBroken, StorageFault, SyncError
from easytracking_sync.observe.alarms.notifier import LATELY
from easytracking_sync.observe.alarms.rules import Watched, standing
from easytracking_sync.safe_text import visible
from easytracking_sync.terms import DocumentState, PauseReason

HEADS = ("ACCOUNT", "LAST SUCCESS", "HOME", "WAITING", "TO MARK", "QUARANTINE", "INCOMPLETE", "NEXT RUN")

OVERDUE = timedelta(minutes=1)
"""A run that did not come for so long will not come by itself."""

NOT_LISTED = (PauseReason.CREDENTIALS, PauseReason.UNREACHABLE)
"""Pauses in which the service does not even list."""


@click.command(
    epilog="""\b
HOME is stored here and marked at the service; WAITING is on its way; TO MARK is stored and the
service is still to be told. NEXT RUN is when the running service lists the account again.

\b
Examples:
  easytracking-sync status
  easytracking-sync status --json | jq '.accounts[] | select(.quarantined > 0)'
  easytracking-sync status --check

Exit codes: 0 shown, 2 wrong configuration, 75 database out of reach.

With --check the codes are those that probes have agreed upon (Nagios, Icinga, Zabbix), and the
line says why: 0 OK, 1 WARNING, 2 CRITICAL (nothing new comes home), 3 UNKNOWN.""",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--check", "as_probe", is_flag=True, help="One line for a monitoring system, and its exit codes.")
@click.pass_obj
def status(invocation: Invocation, *, as_json: bool, as_probe: bool) -> int:
    """Show each account's last success, backlog, trouble and next run; safe while another process writes."""
    if as_probe:
        if as_json:
            raise click.UsageError("--json and --check: one of the two")
        return _probe(invocation)
    session = begin(invocation)
    archive = archive_of(session.settings, session.effects)
    try:
        where = shown(archive.database)
        begun = revision(archive.database) is not None
        if begun:
            require_current(archive.database)
        standings = archive.catalogue.standings() if begun else ()
        short = shortage_of(archive) if begun else None
    finally:
        archive.close()
    if as_json:
        fields = [_fields(session, standing) for standing in _with_silent(session, standings)]
        click.echo(json_objects.line({"archive": where, "shortage": _short_fields(short), "accounts": fields}))
    elif not begun:
        click.echo(f"There is no archive at {where} yet; `easytracking-sync catch-up` makes it.")
    else:
        _show(session, _with_silent(session, standings), short, where)
    return DONE


def _probe(invocation: Invocation) -> int:
    """Whatever keeps the question from being answered is an answer too."""
    try:
        session = begin(invocation)
        found = _verdict(session)
    except (DatabaseUnavailable, StorageBroken, StorageFault) as trouble:
        found = Verdict(Grade.CRITICAL, str(trouble), {})
    except SyncError as trouble:
        found = unknown(str(trouble))
    click.echo(found.line)
    return found.grade


def _verdict(session: Session) -> Verdict:
    settings, now = session.settings, session.effects.clock.now()
    if not settings.accounts:
        return unknown("the configuration has no account")
    limits = limits_of(settings)
    with session.archive() as archive:
        disk = fullest_disk(archive)
        ids = {label: archive.accounts.find(*one.identity) for label, one in settings.accounts.items()}
        labels = {found: label for label, found in ids.items() if found is not None}
        plights = archive.plights.of(labels, settings.sync.max_attempts, now - LATELY)
        known = {one.key: one for one in archive.alarms.known()}
    accounts = [Watched(one, silent_at(settings, labels[one.account_id], one), one.trouble) for one in plights]
    alarms = standing(accounts, disk, limits, known, now)
    room = Room(disk, limits.free_bytes, settings.storage.min_free_bytes) if disk is not None else None
    return verdict(alarms, plights, [label for label, found in ids.items() if found is None], room, now)


def _with_silent(session: Session, standings: tuple[Standing, ...]) -> list[Standing]:
    """Configured accounts that never ran stand there too, with nothing."""
    known = {standing.identity for standing in standings}
    labels = session.settings.labels
    silent = [Standing(label, identity=identity) for identity, label in labels.items() if identity not in known]
    return sorted([*standings, *silent], key=lambda standing: standing.account)


def _show(session: Session, standings: list[Standing], short: Shortage | None, where: str) -> None:
    zone, now = session.settings.timezone, session.effects.clock.now()
    rows = [
        (
            one.account,
            output.moment(one.last_success_at, zone, never="never"),
            str(one.count(DocumentState.ACKNOWLEDGED)),
            _waiting(one, now),
            str(one.count(DocumentState.STORED) - one.unacknowledgeable),
            str(one.count(DocumentState.QUARANTINED)),
            str(one.incomplete),
            _next_run(session, one),
        )
        for one in standings
    ]
    output.show_table(HEADS, rows, numbers={2, 3, 4, 5, 6})
    for one in standings:
        for remark in _remarks(session, one, now):
            click.echo(f"{one.account}: {visible(remark)}")
    if any(_is_overdue(session, one) for one in standings):
        click.echo("A run is overdue: is the service running?")
    if short is not None:
        click.echo(f"Disk nearly full: {visible(str(short))}; nothing new is fetched until there is room.")
    click.echo(f"Archive: {where}")


def _next_run_at(session: Session, one: Standing) -> datetime | None:
    """When the service means to list it: not before a pause in which it does not is over."""
    if one.next_run_at is None or one.identity not in session.settings.labels:
        return None
    if one.paused_until is not None and one.pause_reason in NOT_LISTED:
        return max(one.next_run_at, one.paused_until)
    return one.next_run_at


def _is_overdue(session: Session, one: Standing) -> bool:
    at = _next_run_at(session, one)
    return at is not None and session.effects.clock.now() - at > OVERDUE


def _next_run(session: Session, one: Standing) -> str:
    at = output.moment(_next_run_at(session, one), session.settings.timezone)
    return f"{at}, overdue" if _is_overdue(session, one) else at


def _waiting(one: Standing, now: datetime) -> str:
    waiting = one.count(DocumentState.DISCOVERED, DocumentState.BATCHED)
    if not waiting or one.oldest_waiting_at is None:
        return str(waiting)
    return f"{waiting} (for {output.span(max(0.0, (now - one.oldest_waiting_at).total_seconds()))})"


def _remarks(session: Session, one: Standing, now: datetime) -> list[str]:
    remarks = []
    if one.trouble and one.trouble != one.pause_message:
        remarks.append(f"its list does not come: {one.trouble.removeprefix(f'{one.account}: ')}")
    if one.paused_until is not None and one.paused_until > now:
        until = output.moment(one.paused_until, session.settings.timezone)
        remarks.append(f"paused until {until}: {one.pause_message or one.pause_reason}")
    if one.unacknowledgeable:
        remarks.append(
            f"{output.count(one.unacknowledgeable, 'document')} stored, but the service refuses the mark; "
            "see `easytracking-sync quarantine list`"
        )
    if one.count(DocumentState.QUARANTINED):
        remarks.append("documents in quarantine; see `easytracking-sync quarantine list`")
    if one.unreadable:
        remarks.append(f"{output.count(one.unreadable, 'list element')} without an id in the last cycle")
    for state, what in ((DocumentState.WITHDRAWN, "withdrawn by the service"), (DocumentState.ACCEPTED, "accepted")):
        if one.count(state):
            remarks.append(f"{output.count(one.count(state), 'document')} {what}")
    label = session.settings.labels.get(one.identity)
    if label is None:
        remarks.append("is in the archive, but not in the configuration: nothing is fetched for it")
    elif label != one.account:
        remarks.append(f"the configuration calls it {label}: so will the archive, when the service is started anew")
    return remarks


def _short_fields(short: Shortage | None) -> dict[str, Any] | None:
    if short is None:
        return None
    return {"folder": str(short.folder), "free_bytes": short.free_bytes, "needed_bytes": short.needed_bytes}


def _fields(session: Session, one: Standing) -> dict[str, Any]:
    paused = None
    if one.paused_until is not None:
        reason = one.pause_reason.value if one.pause_reason else None
        paused = {"reason": reason, "until": json_objects.instant(one.paused_until), "message": one.pause_message}
    return {
        "account": one.account,
        "last_success_at": json_objects.instant(one.last_success_at),
        "documents": {state.value: one.count(state) for state in DocumentState},
        "oldest_waiting_at": json_objects.instant(one.oldest_waiting_at),
        "quarantined": one.count(DocumentState.QUARANTINED),
        "unacknowledgeable": one.unacknowledgeable,
        "incomplete": one.incomplete,
        "unreadable": one.unreadable,
        "paused": paused,
        "trouble": one.trouble,
        "next_run_at": json_objects.instant(_next_run_at(session, one)),
        "overdue": _is_overdue(session, one),
        "next_attempt_at": json_objects.instant(one.next_attempt_at),
    }
