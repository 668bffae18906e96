"""`status`: the state of each account, as a table, as JSON, or as one line for a monitoring system."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from easytracking_sync.alarm_terms import AlarmKind
from easytracking_sync.app import archive_of
from easytracking_sync.app.json_objects import status_json
from easytracking_sync.app.status import AccountStatus, Grade, Health, Reason, Status, health_of, status_of
from easytracking_sync.cli import output
from easytracking_sync.cli.exit_codes import DONE
from easytracking_sync.cli.global_options import NAME, GlobalOptions
from easytracking_sync.cli.runtime import start
from easytracking_sync.errors import DatabaseUnavailable, StorageBroken, StorageFault, SyncError
from easytracking_sync.observe.alarms.rules import COUNTED
from easytracking_sync.observe.alarms.translations import text
from easytracking_sync.quantities import count, duration
from easytracking_sync.safe_text import visible
from easytracking_sync.settings import Language, Settings
from easytracking_sync.terms import DocumentState, Gap, WindowKind

MOST_GAPS = 3
"""Gaps of an account that are shown one by one."""

HEADS = ("ACCOUNT", "LAST SUCCESS", "ARCHIVED", "WAITING", "UNACKNOWLEDGED", "QUARANTINE", "INCOMPLETE", "NEXT RUN")

MOST_REASONS = 5


@click.command(
    epilog="""\b
ARCHIVED: stored and acknowledged. WAITING: not fetched yet. UNACKNOWLEDGED: stored, not acknowledged
yet. NEXT RUN: when the running service lists the account again.

\b
Examples:
  easytracking-sync status
  easytracking-sync status --json | jq '.accounts[] | select(.quarantined > 0)'
  easytracking-sync status --check

Exit codes: 0 shown, 2 wrong configuration, 75 database unavailable.

With --check, the exit codes of monitoring plugins (Nagios, Icinga, Zabbix), and one line with the
reason: 0 OK, 1 WARNING, 2 CRITICAL (new documents are not fetched), 3 UNKNOWN.""",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--check", "as_check", is_flag=True, help="Print one line, and exit codes, for a monitoring system.")
@click.pass_obj
def status(given: GlobalOptions, *, as_json: bool, as_check: bool) -> int:
    """Show each account's last success, backlog, problems and next run. Safe while another process writes."""
    if as_check:
        if as_json:
            raise click.UsageError("--json and --check cannot be combined")
        return _check(given)
    runtime = start(given)
    with contextlib.closing(archive_of(runtime.settings, runtime.effects)) as archive:
        found = status_of(archive, runtime.settings, runtime.effects.clock.now())
    if as_json:
        click.echo(output.json_line(status_json(found)))
    elif not found.exists:
        click.echo(f"There is no archive at {found.archive} yet; `{NAME} catch-up` creates it.")
    else:
        _show(found, runtime.settings)
    return DONE


def _show(found: Status, settings: Settings) -> None:
    zone = settings.timezone
    output.show_table(HEADS, [_row(account, found.at, zone) for account in found.accounts], numbers={2, 3, 4, 5, 6})
    for account in found.accounts:
        for remark in _remarks(account, zone):
            click.echo(f"{account.overview.account}: {visible(remark)}")
    if any(account.is_overdue for account in found.accounts):
        click.echo("A run is overdue: check that the service is running.")
    if found.shortage is not None:
        click.echo(f"Disk nearly full: {visible(str(found.shortage))}; nothing new is fetched until there is space.")
    output.show_archive(settings)


def _row(account: AccountStatus, now: datetime, zone: ZoneInfo) -> tuple[str, ...]:
    one = account.overview
    next_run = output.moment(account.next_run_at, zone)
    return (
        one.account,
        output.moment(one.last_success_at, zone, never="never"),
        str(one.count(DocumentState.ACKNOWLEDGED)),
        _waiting(account, now),
        str(one.count(DocumentState.STORED) - one.unacknowledgeable),
        str(one.count(DocumentState.QUARANTINED)),
        str(one.incomplete),
        f"{next_run}, overdue" if account.is_overdue else next_run,
    )


def _waiting(account: AccountStatus, now: datetime) -> str:
    waiting = account.overview.count(DocumentState.DISCOVERED, DocumentState.BATCHED)
    since = account.overview.oldest_waiting_at
    if not waiting or since is None:
        return str(waiting)
    return f"{waiting} (for {duration(max(0.0, (now - since).total_seconds()))})"


def _remarks(account: AccountStatus, zone: ZoneInfo) -> Iterator[str]:
    one = account.overview
    if one.trouble and one.trouble != one.pause_message:
        yield f"cannot be listed: {one.trouble.removeprefix(f'{one.account}: ')}"
    if account.is_paused:
        yield f"paused until {output.moment(one.paused_until, zone)}: {one.pause_message or one.pause_reason}"
    see = f"see `{NAME} quarantine list`"
    if one.unacknowledgeable:
        yield f"{count(one.unacknowledgeable, 'document')} stored, but the service refuses the acknowledgement; {see}"
    if one.count(DocumentState.QUARANTINED):
        yield f"{count(one.count(DocumentState.QUARANTINED), 'document')} in quarantine; {see}"
    if one.unreadable:
        yield f"{count(one.unreadable, 'list element')} without an id in the last cycle"
    yield from _gaps(one.account, one.gaps)
    for state, what in ((DocumentState.WITHDRAWN, "withdrawn by the service"), (DocumentState.ACCEPTED, "accepted")):
        if one.count(state):
            yield f"{count(one.count(state), 'document')} {what}"
    if account.configured_as is None:
        yield "not in the configuration, so nothing is fetched for it"
    elif account.configured_as != one.account:
        yield f"called {account.configured_as} in the configuration; the next start of the service renames it here"


def _gaps(account: str, gaps: Sequence[Gap]) -> Iterator[str]:
    for gap in gaps[:MOST_GAPS]:
        yield f"not listed by the service: {_window(gap)}: {gap.reason.removeprefix(f'{account}: ')}"
    if len(gaps) > MOST_GAPS:
        yield f"not listed by the service: {len(gaps) - MOST_GAPS} more; see `{NAME} status --json`"


def _window(gap: Gap) -> str:
    """What was received, or dated, from and to; local time, as the service counts it."""
    start, end = gap.window.start, gap.window.end
    if gap.window.kind is WindowKind.DOCUMENT_DATE:
        return f"documents dated {start:%Y-%m-%d}" + (f" to {end:%Y-%m-%d}" if end > start else "")
    return f"documents received at {start}" + (f" to {end}" if end > start else "")


def _check(given: GlobalOptions) -> int:
    """An error that prevents the check is reported as a result too."""
    try:
        runtime = start(given)
        if not runtime.settings.accounts:
            return _print_check(Grade.UNKNOWN, "the configuration has no account", {})
        with runtime.archive() as archive:
            health = health_of(archive, runtime.settings, runtime.effects.clock.now())
    except (DatabaseUnavailable, StorageBroken, StorageFault) as trouble:
        return _print_check(Grade.CRITICAL, str(trouble), {})
    except SyncError as trouble:
        return _print_check(Grade.UNKNOWN, str(trouble), {})
    return _print_check(health.grade, summary(health), figures(health))


def _print_check(grade: Grade, why: str, shown: Mapping[str, str]) -> int:
    click.echo(check_line(grade, why, shown))
    return grade


def check_line(grade: Grade, why: str, shown: Mapping[str, str]) -> str:
    """One line; a bar separates text and figures, so bars in the text are replaced."""
    told = f"{grade.name} - {visible(why).replace('|', '/')}"
    return f"{told} | {' '.join(f'{name}={value}' for name, value in shown.items())}" if shown else told


def summary(health: Health) -> str:
    """The first reasons in words."""
    told = [f"{reason.subject}: {_words(reason)}" for reason in health.reasons[:MOST_REASONS]]
    if len(health.reasons) > MOST_REASONS:
        told.append(f"and {len(health.reasons) - MOST_REASONS} more")
    return "; ".join(told) or f"{count(len(health.conditions), 'account')} OK"


def _words(reason: Reason) -> str:
    if reason.alarm is None:
        return "never ran"
    counted = reason.alarm.kind in COUNTED or reason.alarm.kind is AlarmKind.BACKLOG
    headline = text(f"{reason.alarm.kind}.headline", Language.ENGLISH)
    return f"{headline} ({reason.alarm.amount})" if counted else headline


def figures(health: Health) -> Mapping[str, str]:
    """Sums over the accounts, and the worst of the ages, as performance data."""
    shown = {"waiting": str(sum(condition.waiting for condition in health.conditions))}
    for name, kind in (
        ("quarantined", AlarmKind.QUARANTINE),
        ("unacknowledgeable", AlarmKind.UNACKNOWLEDGEABLE),
        ("incomplete", AlarmKind.INCOMPLETE),
    ):
        shown[name] = str(sum(condition.count(kind) for condition in health.conditions))
    for name, moments in (
        ("oldest_waiting", [condition.waiting_since for condition in health.conditions]),
        ("last_success", [condition.last_success_at for condition in health.conditions]),
    ):
        oldest = min((moment for moment in moments if moment is not None), default=None)
        if oldest is not None:
            shown[name] = f"{max(0.0, (health.at - oldest).total_seconds()):.0f}s"
    if health.disk is not None:
        limits = f"{health.disk.warning_bytes}:;{health.disk.critical_bytes}:;0"
        shown["free"] = f"{health.disk.disk.free_bytes}B;{limits}"
    return shown
