"""`demo`: the main job for real, against two services on this machine, and the proof that it was done."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from easytracking_sync.app import CatchUp, Outcome
from easytracking_sync.app.export import Export, exclusively
from easytracking_sync.archive.entries import Filters
from easytracking_sync.cli import output
from easytracking_sync.cli.catch_up import lies_in, perform, tell_problems
from easytracking_sync.cli.exit_codes import FINDINGS, exit_code
from easytracking_sync.cli.global_options import NAME, Invocation
from easytracking_sync.cli.option_types import PLACE
from easytracking_sync.cli.runtime import Session, begin_with, open_log
from easytracking_sync.cli.simulator import PracticeService, practice_services
from easytracking_sync.effects import storage_faults
from easytracking_sync.errors import UsageError
from easytracking_sync.settings import load_settings

MARKER = ".easytracking-demo"
CONFIG = "easytracking-sync.toml"
SEED = 2026
DOCUMENTS = {"acme-italia": 250, "acme-romania": 50}
HEADS = ("ACCOUNT", "DOCUMENTS", "FILES", "SIZE", "RECEIVED", "MARKED AT THE SERVICE")

Services = Mapping[str, PracticeService]


@click.command(
    epilog="""\b
Needs no account, no network and no configuration. The folder is made afresh each time; one that
the demo did not make is never touched.

Example:
  easytracking-sync demo --dir /tmp/demo

Exit codes: 0 everything came home and was proven, 2 the folder is not the demo's, 3 a proof failed.""",
)
@click.option("--dir", "folder", metavar="DIR", type=PLACE, default=Path("demo"), show_default=True)
@click.pass_obj
def demo(invocation: Invocation, folder: Path) -> int:
    """Fetch 300 invoices of two companies from two simulated services, over real sockets, and prove it."""
    _make_afresh(folder)
    with practice_services(DOCUMENTS, SEED) as services:
        _say("Two Easy Tracking services run on this machine, one Italian (FatturaPA, signed), one Romanian (UBL):")
        for label, service in services.items():
            click.echo(f"  {label:<13} {service.login.base_url}   {DOCUMENTS[label]} invoices, none fetched yet")
        config = folder / CONFIG
        _write(config, configuration(folder, services))
        session = begin_with(load_settings(config, {}), open_log(invocation, unless_told="error"))
        faults = sum(service.misbehave() for service in services.values())
        _say(f"Bringing everything home ({faults} calls are made to fail on the way, to show that it mends itself):")
        outcome = perform(session, CatchUp())
        click.echo(
            f"  {outcome.documents} documents, {outcome.files} files, {output.size(outcome.bytes)} "
            f"in {output.span(outcome.seconds)}"
        )
        code = exit_code(outcome)
        if code:
            tell_problems(outcome)
            return code
        _show_home(session, services)
        proven = _prove(session, folder, services)
    _suggest(config, folder)
    return 0 if proven else FINDINGS


def _make_afresh(folder: Path) -> None:
    with storage_faults(f"making {folder}"):
        if folder.is_symlink() or (folder.exists() and not (folder / MARKER).is_file()):
            raise UsageError(f"{folder} was not made by the demo, so it is left alone; name another with --dir")
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700, parents=True)
        (folder / MARKER).write_text("Made by `easytracking-sync demo`, which removes this folder as it starts.\n")


def _write(path: Path, text: str) -> None:
    with storage_faults(f"writing {path}"):
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")


def configuration(folder: Path, services: Services) -> str:
    blocks = [
        f'[database]\nurl = "sqlite:///{folder.absolute() / "archive.db"}"\n',
        "[storage]\nmin_free_bytes = 50_000_000\n",
        "[sync]\npoll_first_seconds = 0.1\npoll_cap_seconds = 0.5\nretry_base_seconds = 0.1\n",
    ]
    for label, service in services.items():
        login = service.login
        blocks.append(
            f'[accounts.{label}]\nbase_url = "{login.base_url}"\nauth_base_url = "{login.base_url}"\n'
            f'username = "{login.username}"\npassword = "{login.password}"\nhistory_from = 2023-01-01\n'
        )
    return "\n".join(blocks)


def _show_home(session: Session, services: Services) -> None:
    _say("What came home:")
    rows = []
    with session.archive() as archive:
        for label, service in services.items():
            entries = list(archive.catalogue.documents(Filters(accounts=(label,))))
            parts = [part for entry in entries for part in entry.files]
            received = [entry.received.date() for entry in entries if entry.received]
            rows.append(
                (
                    label,
                    str(len(entries)),
                    str(len(parts)),
                    output.size(sum(part.size for part in parts)),
                    f"{min(received)} to {max(received)}" if received else "-",
                    f"{len(service.marked())} of {DOCUMENTS[label]}",
                )
            )
    output.show_table(HEADS, rows, numbers={1, 2, 3, 5})
    click.echo(f"It lies in {lies_in(session.settings)}")


def _prove(session: Session, folder: Path, services: Services) -> bool:
    _say("The proof:")
    exported = _export(session, folder / "invoices")
    true = {label: service.hashes() for label, service in services.items()}
    files = sum(len(hashes) for documents in true.values() for hashes in documents.values())
    before = sum(service.reservations() for service in services.values())
    again = perform(session, CatchUp())
    reserved = sum(service.reservations() for service in services.values()) - before
    marked = sum(len(service.marked() & true[label].keys()) for label, service in services.items())
    documents = sum(DOCUMENTS.values())
    return all(
        [
            _tell(exported == true, f"{files} exported files are byte for byte the services' own (sha256 compared)"),
            _tell(_fetched_nothing(again, reserved), "a second run fetches nothing"),
            _tell(marked == documents, f"all {documents} documents are marked phase 1 at their service"),
        ]
    )


def _fetched_nothing(again: Outcome, reserved: int) -> bool:
    return again.documents == reserved == 0 and exit_code(again) == 0


def _export(session: Session, folder: Path) -> dict[str, dict[int, tuple[str, ...]]]:
    """What lies on the disk after an export: account → docId → hashes, read from the files themselves."""
    with session.archive() as archive, exclusively(folder, session.effects.files):
        work = Export(folder, archive.blobs, session.effects.files)
        for entry in archive.catalogue.documents(Filters()):
            work.add(entry)
    found: dict[str, dict[int, tuple[str, ...]]] = {}
    for place in folder.glob("*/*/*"):
        hashes = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in place.iterdir())
        found.setdefault(place.parts[-3], {})[int(place.name)] = tuple(hashes)
    return found


def _tell(holds: bool, what: str) -> bool:  # noqa: FBT001 - a verdict and its words
    mark = click.style("proven", fg="green") if holds else click.style("FAILED", fg="red", bold=True)
    click.echo(f"  {mark}  {what}")
    return holds


def _suggest(config: Path, folder: Path) -> None:
    command = f"{_as_typed()} --config {config}"
    _say("What to try next (the services are gone, the archive stays):")
    click.echo(f"  {command} status")
    click.echo(f"  {command} invoices list --account acme-romania --limit 10")
    click.echo(f"  find {folder / 'invoices'} -name '*.p7m' | head")


def _as_typed() -> str:
    """How this command is called from here: its name where the shell finds it, else its path."""
    program = Path(sys.argv[0])
    return str(program) if program.name == NAME and shutil.which(NAME) is None else NAME


def _say(text: str) -> None:
    click.echo()
    click.echo(click.style(text, bold=True))
