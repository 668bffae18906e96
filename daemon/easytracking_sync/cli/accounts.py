"""`accounts`: who they are, and another label for one of them."""

from __future__ import annotations

import click

from easytracking_sync.archive.accounts import AccountEntry
from easytracking_sync.archive.entries import Standing
from easytracking_sync.cli import output
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.option_types import LABEL
from easytracking_sync.cli.runtime import Session, begin
from easytracking_sync.errors import UsageError
from easytracking_sync.settings import Settings

HEADS = ("ACCOUNT", "SERVICE", "USER NAME", "DOCUMENTS", "LAST SUCCESS", "CONFIGURED")


@click.group()
def accounts() -> None:
    """The accounts of the archive and of the configuration. An account is its address and user name."""


@accounts.command(
    "list",
    epilog="""\b
Example:
  easytracking-sync accounts list

Exit codes: 0 shown, 2 wrong configuration, 75 database out of reach.""",
)
@click.pass_obj
def list_accounts(invocation: Invocation) -> None:
    """Show every account, here and in the configuration."""
    session = begin(invocation)
    with session.archive() as archive:
        entries = archive.accounts.entries()
        standings = {standing.account: standing for standing in archive.catalogue.standings()}
    rows = [_row(session, entry, standings[entry.label]) for entry in entries if entry.label in standings]
    known = {entry.identity for entry in entries}
    for label, account in session.settings.accounts.items():
        if account.identity not in known:
            rows.append((label, *account.identity, "0", "never", "yes"))
    output.show_table(HEADS, sorted(rows), numbers={3})


@accounts.command(
    epilog="""\b
Example:
  easytracking-sync accounts rename acme acme-italia

The label stands in the archive and in the configuration. Rename the table [accounts.OLD] of the
configuration first: this command follows it at once, and a service when it is started anew.

Exit codes: 0 renamed, 2 unknown, the label is another account's, or the configuration has the old one.""",
)
@click.argument("old", metavar="OLD", type=LABEL)
@click.argument("new", metavar="NEW", type=LABEL)
@click.pass_obj
def rename(invocation: Invocation, old: str, new: str) -> None:
    """Give an account another label, as the configuration has it by now. Its documents stay its own."""
    session = begin(invocation)
    settings = session.settings
    with session.archive() as archive:
        entries = {entry.label: entry for entry in archive.accounts.entries()}
        if old not in entries:
            raise UsageError(f"the archive has no account {old}; it has {', '.join(sorted(entries)) or 'none'}")
        if old == new:
            raise UsageError(f"{old} is its label already")
        _refuse_taken(settings, entries[old], new)
        if new not in entries:
            _refuse_configured(settings, entries[old], old, new)
        archive.accounts.rename(old, new, session.effects.clock.now())
    click.echo(f"{old} is called {new} in the archive now.")


def _row(session: Session, entry: AccountEntry, standing: Standing) -> tuple[str, ...]:
    return (
        entry.label,
        entry.base_url,
        entry.username,
        str(sum(standing.by_state.values())),
        output.moment(standing.last_success_at, session.settings.timezone, never="never"),
        _configured(session.settings, entry),
    )


def _configured(settings: Settings, entry: AccountEntry) -> str:
    label = next((label for label, account in settings.accounts.items() if account.identity == entry.identity), None)
    if label == entry.label:
        return "yes"
    if label is not None:
        return f"as {label}"
    return "no: the label is another account's there" if entry.label in settings.accounts else "no"


def _refuse_taken(settings: Settings, entry: AccountEntry, new: str) -> None:
    taken = settings.accounts.get(new)
    if taken is not None and taken.identity != entry.identity:
        raise UsageError(f"{new} is another account in the configuration already; labels are given once")


def _refuse_configured(settings: Settings, entry: AccountEntry, old: str, new: str) -> None:
    """A label that only the archive has would go with the next start, and commands and service would differ."""
    label = settings.labels.get(entry.identity)
    if label is None or label == new:
        return
    if label != old:
        raise UsageError(
            f"the configuration calls {old} {label}; rename it to that, or change the configuration first"
        )
    sources = {source for key, source in settings.sources.items() if key.startswith(f"accounts.{old}.")}
    named = sorted(source for source in sources if source.startswith(("environment ", "credential ")))
    also = f", and what is named after it ({', '.join(named)})" if named else ""
    raise UsageError(
        f"the configuration still calls it {old}: rename its table [accounts.{old}] to [accounts.{new}]{also}, "
        f"then repeat `{NAME} accounts rename {old} {new}`; a running service is to be started anew"
    )
