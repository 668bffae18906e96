"""`accounts`: list the accounts, rename or move one."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import click

from easytracking_sync.app.accounts import AccountSummary, list_accounts, move_account, rename_account
from easytracking_sync.cli import output
from easytracking_sync.cli.options import LABEL
from easytracking_sync.cli.runtime import Runtime, pass_runtime

HEADS = ("ACCOUNT", "SERVICE", "USER NAME", "DOCUMENTS", "LAST SUCCESS", "CONFIGURED")


@click.group()
def accounts() -> None:
    """List the accounts of the archive and of the configuration, rename and move them.

    An account is identified by its service's address and its user name, not by its label.
    """


@accounts.command(
    "list",
    epilog="""\b
Example:
  easytracking-sync accounts list

Exit codes: 0 listed, 2 wrong configuration, 75 database unavailable.""",
)
@pass_runtime
def list_command(runtime: Runtime) -> None:
    """List every account of the archive and of the configuration."""
    with runtime.archive() as archive:
        found = list_accounts(archive, runtime.settings)
    output.show_table(HEADS, [_row(account, runtime.settings.timezone) for account in found], numbers={3})


@accounts.command(
    short_help="Rename an account in the archive.",
    epilog="""\b
Example:
  easytracking-sync accounts rename acme acme-italia

The label is kept in the archive and in the configuration. Rename the table [accounts.OLD] of the
configuration first, run this command, then restart a running service.

Exit codes: 0 renamed, 2 the account is unknown, NEW is taken, or the configuration still has OLD.""",
)
@click.argument("old", metavar="OLD", type=LABEL)
@click.argument("new", metavar="NEW", type=LABEL)
@pass_runtime
def rename(runtime: Runtime, old: str, new: str) -> None:
    """Rename an account in the archive, after it was renamed in the configuration. Its documents stay its own."""
    with runtime.archive() as archive:
        rename_account(archive, runtime.settings, old, new, runtime.effects.clock.now())
    click.echo(f"{old} is now called {new} in the archive.")


@accounts.command(
    short_help="Move an account to its new address or user name.",
    epilog="""\b
Example:
  easytracking-sync accounts move acme

Use it when the vendor's address or your user name has changed, or is written differently. Change the
configuration first, run this command, then restart a running service.

Exit codes: 0 moved, 2 the account is unknown, nothing has changed, or the archive has another account
with the new address and user name.""",
)
@click.argument("label", metavar="ACCOUNT", type=LABEL)
@pass_runtime
def move(runtime: Runtime, label: str) -> None:
    """Move an account of the archive to its new address or user name in the configuration.

    It must be the same account at the service: its document ids go on. Documents and history stay.
    """
    with runtime.archive() as archive:
        base_url, username = move_account(archive, runtime.settings, label, runtime.effects.clock.now())
    click.echo(f"{label} is now {username} at {base_url} in the archive.")


def _row(account: AccountSummary, zone: ZoneInfo) -> tuple[str, ...]:
    return (
        account.label,
        account.base_url,
        account.username,
        str(account.documents),
        output.moment(account.last_success_at, zone, never="never"),
        _configured(account),
    )


def _configured(account: AccountSummary) -> str:
    if account.configured_as == account.label:
        return "yes"
    if account.configured_as is not None:
        return f"as {account.configured_as}"
    return "no: another account has this label" if account.label_is_taken else "no"
