"""Who looks on while the service runs: metrics, and the pages that show them and say whether it is well.

Imported by `run` alone, since what it needs takes its time to import.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from easytracking_sync.app.composition import Station
from easytracking_sync.app.supervision import Beat
from easytracking_sync.archive.entries import Standing
from easytracking_sync.archive.plights import Plight
from easytracking_sync.archive.schema import require_current
from easytracking_sync.effects import Effects
from easytracking_sync.errors import DatabaseUnavailable, UsageError
from easytracking_sync.host.http_server import LOOPBACK_NAMES, Admission, Pages, Server, application, bind
from easytracking_sync.machine.observer import Observer
from easytracking_sync.observe.metrics import Metrics
from easytracking_sync.observe.snapshot_cache import Readings
from easytracking_sync.settings import Http, Settings, StorageBackend

HEALTHY_SECONDS = 120.0
"""The loop turns every second; a database that does not answer may hold it up for a minute and more."""

LATELY = timedelta(days=7)
"""So long a document that changed, or rotted, is counted."""


class Lookout:
    """`metrics` is to be told what happens, from the beginning; `watch` serves them while the service runs."""

    def __init__(self, settings: Settings, effects: Effects) -> None:
        self._settings = settings
        self._effects = effects
        self._station: Station | None = None
        self._beat = Beat(effects.clock)
        self._readings = Readings(self._look, self._free_bytes, effects.clock)
        self.metrics = Metrics(
            settings.accounts,
            self._readings,
            effects.clock,
            beat_age=lambda: self._beat.age_seconds,
            reserve_bytes=settings.storage.min_free_bytes,
        )

    @contextlib.contextmanager
    def watch(self, at_work: Station, observer: Observer) -> Iterator[Beat]:
        """Serve until the block ends, to which the pulse is given. UsageError where the address cannot be had.

        An address that nobody chose is done without: a second service on this machine would want the same.
        """
        self._station = at_work
        listening = self._listening(observer)
        if listening is None:
            yield self._beat
            return
        pages = Pages(self.unhealthy, self.unready, self._page)
        app = application(pages, admission_of(self._settings.http))
        server = Server(listening, app, observer, self._effects.clock)
        server.start()
        try:
            yield self._beat
        finally:
            server.stop()

    def unhealthy(self) -> str:
        """Why the service should be started anew; nothing where its loop turns."""
        age = self._beat.age_seconds
        return "" if age < HEALTHY_SECONDS else f"the service's loop has not turned for {age:.0f} seconds"

    def unready(self) -> str:
        """Why the service does not work just now."""
        if not self._beat.runs:
            return "the service is starting or ending"
        trouble = self.unhealthy() or self._readings.latest().trouble
        return f"the database: {trouble}" if trouble and not self.unhealthy() else trouble

    def _listening(self, observer: Observer) -> socket.socket | None:
        http = self._settings.http
        if http.address is None:
            return None
        try:
            return bind(*http.address)
        except UsageError as trouble:
            if http.is_chosen:
                raise
            observer.note("http.unavailable", level="warning", reason=str(trouble))
            return None

    def _page(self) -> tuple[str, bytes]:
        page = self.metrics.page()
        return page.content_type, page.body

    def _look(self) -> tuple[tuple[Standing, ...], tuple[Plight, ...]]:
        if self._station is None:
            raise DatabaseUnavailable("the archive is not open yet")
        archive, lately = self._station.archive, self._effects.clock.now() - LATELY
        require_current(archive.database)
        ours = {account.id: account.label for account in self._station.accounts}  # the archive's may have changed
        plights = archive.plights.of(ours, self._settings.sync.max_attempts, lately)
        names = {entry.label: ours[entry.id] for entry in archive.accounts.entries() if entry.id in ours}
        standings = archive.catalogue.standings(tuple(names))
        return (
            tuple(replace(one, account=names[one.account]) for one in standings if one.account in names),
            tuple(replace(one, label=ours[one.account_id]) for one in plights),
        )

    def _free_bytes(self) -> Mapping[str, int]:
        return {place: self._effects.files.free_bytes(folder) for place, folder in self._places().items()}

    def _places(self) -> dict[str, Path]:
        places = {"spool": self._settings.spool_path}
        if (file := self._settings.database.sqlite_path) is not None:
            places["database"] = file.parent
        if self._settings.storage.backend is StorageBackend.FILESYSTEM:
            places["blobs"] = self._settings.blobs_path
        return {place: folder for place, folder in places.items() if folder.is_dir()}


def admission_of(http: Http) -> Admission:
    """Who may look at the pages."""
    address = http.address
    own = set() if address is None else {f"[{address.host}]" if ":" in address.host else address.host}
    return Admission(LOOPBACK_NAMES | own | set(http.allowed_hosts), http.token.get_secret_value())
