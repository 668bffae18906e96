"""The demo: fetch everything from two simulated services, and prove that it was fetched."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from easytracking_sync.app.bundled_simulator import SimulatedService
from easytracking_sync.app.catch_up import CatchUpRequest, catch_up
from easytracking_sync.app.composition import existing_archive
from easytracking_sync.app.export import export_documents
from easytracking_sync.archive.document_entries import DocumentFilter
from easytracking_sync.effects import Effects, storage_faults
from easytracking_sync.errors import UsageError
from easytracking_sync.machine.observer import Observer
from easytracking_sync.settings import Settings

MARKER = ".easytracking-demo"
CONFIG = "easytracking-sync.toml"
EXPORT = "invoices"
SEED = 2026
DOCUMENTS = {"acme-italia": 250, "acme-romania": 50}

Services = Mapping[str, SimulatedService]


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared at the end, and the results."""

    documents: int
    files: int
    files_are_the_services_own: bool
    second_run_fetches_nothing: bool
    all_are_acknowledged: bool

    @property
    def holds(self) -> bool:
        """Whether every comparison succeeded."""
        return self.files_are_the_services_own and self.second_run_fetches_nothing and self.all_are_acknowledged


def prepare_folder(folder: Path) -> None:
    """Create the demo's folder, and replace one that an earlier demo left; UsageError for any other folder."""
    with storage_faults(f"making {folder}"):
        if folder.is_symlink() or (folder.exists() and not (folder / MARKER).is_file()):
            raise UsageError(
                f"{folder} was not created by the demo and is not overwritten; name another folder with --dir"
            )
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700, parents=True)
        (folder / MARKER).write_text(
            "Created by `easytracking-sync demo`, which deletes this folder when it starts.\n"
        )


def write_configuration(folder: Path, services: Services) -> Path:
    """Write a configuration for these services into the folder; its path."""
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
    path = folder / CONFIG
    with storage_faults(f"writing {path}"):
        path.touch(mode=0o600)
        path.write_text("\n".join(blocks), encoding="utf-8")
    return path


def prove(settings: Settings, effects: Effects, observer: Observer, services: Services, folder: Path) -> Proof:
    """Export everything and compare it with the services' own files; then check that a second run fetches nothing."""
    with existing_archive(settings, effects) as archive:
        export_documents(archive, settings, DocumentFilter(), folder / EXPORT, effects.files)
    true = {label: service.hashes() for label, service in services.items()}
    before = sum(service.reservations() for service in services.values())
    again = catch_up(settings, CatchUpRequest(), effects=effects, observer=observer)
    reserved = sum(service.reservations() for service in services.values()) - before
    acknowledged = sum(len(service.marked() & true[label].keys()) for label, service in services.items())
    return Proof(
        documents=sum(map(len, true.values())),
        files=sum(len(hashes) for documents in true.values() for hashes in documents.values()),
        files_are_the_services_own=_exported(folder / EXPORT) == true,
        second_run_fetches_nothing=again.documents == reserved == 0 and again.finished and not again.bugs,
        all_are_acknowledged=acknowledged == sum(map(len, true.values())),
    )


def _exported(folder: Path) -> dict[str, dict[int, tuple[str, ...]]]:
    """Account → docId → hashes, read from the files themselves."""
    found: dict[str, dict[int, tuple[str, ...]]] = {}
    for place in folder.glob("*/*/*"):
        hashes = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in place.iterdir())
        found.setdefault(place.parts[-3], {})[int(place.name)] = tuple(hashes)
    return found
