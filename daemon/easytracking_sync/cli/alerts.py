"""`alerts`: try the channels that messages go through."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator

import click

from easytracking_sync.app.alerts import channels_of, writer_of
from easytracking_sync.cli.exit_codes import DONE, UNFINISHED
from easytracking_sync.cli.global_options import Invocation
from easytracking_sync.cli.runtime import Session, begin
from easytracking_sync.errors import UsageError
from easytracking_sync.observe.alarms.heartbeat import call
from easytracking_sync.safe_text import visible
from easytracking_sync.settings import Language, Settings
from easytracking_sync.settings.display import scheme_and_host

PATIENCE_SECONDS = 30.0


@click.group()
def alerts() -> None:
    """Messages about trouble: who gets them stands in [alerts] of the configuration."""


@alerts.command(
    short_help="Send one message through every channel.",
    epilog="""\b
Each channel is told by its scheme and host only; the rest of an address is a secret.
The heartbeat's monitor, where there is one, is called as well.

\b
Examples:
  easytracking-sync alerts test
  easytracking-sync alerts test --language en

Exit codes: 0 every channel accepted it, 2 there is no channel, or a wrong one, 75 some did not.""",
)
@click.option(
    "--language", type=click.Choice([language.value for language in Language]), help="Instead of the configured."
)
@click.pass_obj
def test(invocation: Invocation, language: str | None) -> int:
    """Send one message through every configured channel, and say which of them accepted it."""
    session = begin(invocation)
    trials = list(_trials(session, _speaking(session.settings, language)))
    if not trials:
        raise UsageError("alerts.urls names no channel, and alerts.heartbeat_url no monitor: nobody would be told")
    return UNFINISHED if [name for name, trial in trials if not _tell(session, name, trial)] else DONE


def _speaking(settings: Settings, language: str | None) -> Settings:
    if language is None:
        return settings
    return settings.model_copy(update={"alerts": settings.alerts.model_copy(update={"language": Language(language)})})


def _trials(session: Session, settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each channel's name and what tries it: empty where it was accepted, else why not."""
    letter = writer_of(settings).trial(session.effects.clock.now())
    for channel in channels_of(settings):
        yield channel.name, functools.partial(channel.send, letter)
    heartbeat = settings.alerts.heartbeat_url.get_secret_value()
    if heartbeat:
        yield scheme_and_host(heartbeat), lambda: call(heartbeat)


def _tell(session: Session, name: str, trial: Callable[[], str]) -> bool:
    """Try one channel for a while, and say how it went; whether it was accepted."""
    answers: list[str] = []

    def try_it() -> None:
        try:
            answers.append(trial())
        except Exception as error:  # noqa: BLE001  a library of a hundred services: whatever it raises, it did not send
            answers.append(type(error).__name__)

    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    why = answers[0] if answers else f"no answer within {PATIENCE_SECONDS:.0f} seconds"
    mark = click.style("fail", fg="red") if why else click.style("ok  ", fg="green")
    click.echo(f"{mark}  {visible(name)}" + (f": {visible(session.log.redactor.text(why))}" if why else ": accepted"))
    return not why
