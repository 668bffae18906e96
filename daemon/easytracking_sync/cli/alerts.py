"""`alerts`: test the channels that alerts are sent through."""

from __future__ import annotations

import click

from easytracking_sync.app.alerts import try_channels
from easytracking_sync.cli.exit_codes import DONE, UNFINISHED
from easytracking_sync.cli.runtime import Runtime, pass_runtime
from easytracking_sync.safe_text import visible
from easytracking_sync.settings import Language


@click.group()
def alerts() -> None:
    """Test the alerts that are configured in the table [alerts]."""


@alerts.command(
    short_help="Send a test message through every channel.",
    epilog="""\b
Each channel is shown by its scheme and host only; the rest of an address is a secret.
If a heartbeat is configured, its monitor is called as well.

\b
Examples:
  easytracking-sync alerts test
  easytracking-sync alerts test --language en

Exit codes: 0 every channel accepted it, 2 no channel is configured, or one is wrong, 75 a channel
failed.""",
)
@click.option(
    "--language",
    type=click.Choice([language.value for language in Language]),
    help="Use this language instead of the configured one.",
)
@pass_runtime
def test(runtime: Runtime, language: str | None) -> int:
    """Send a test message through every configured channel, and print which of them accepted it."""
    code = DONE
    for trial in try_channels(runtime.settings, runtime.effects.clock, Language(language) if language else None):
        mark = click.style("fail", fg="red") if trial.refusal else click.style("ok  ", fg="green")
        why = visible(runtime.log.redactor.text(trial.refusal)) or "accepted"
        click.echo(f"{mark}  {visible(trial.channel)}: {why}")
        code = UNFINISHED if trial.refusal else code
    return code
