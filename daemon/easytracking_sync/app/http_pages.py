"""The service's HTTP pages: health, readiness and metrics.

Imported by the command `run` only, since its dependencies load slowly.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from easytracking_sync.alarm_terms import AccountCondition
from easytracking_sync.app.composition import Instance
from easytracking_sync.app.supervision import Liveness
from easytracking_sync.archive.account_status import AccountOverview
from easytracking_sync.archive.schema import require_current
from easytracking_sync.effects import Effects
from easytracking_sync.errors import DatabaseUnavailable, UsageError
from easytracking_sync.events import EventName
from easytracking_sync.host.http_server import LOOPBACK_NAMES, Admission, Pages, Server, application, bind
from easytracking_sync.machine.observer import Observer
from easytracking_sync.observe.metrics import Metrics
from easytracking_sync.observe.snapshot_cache import Readings
from easytracking_sync.settings import Http, Settings, StorageBackend

HEALTHY_SECONDS = 120.0
"""The service's loop runs every second; a database that does not answer may delay it by a minute or more."""

LATELY = timedelta(days=7)
"""How long documents that changed, or whose files are damaged, are counted."""


class HttpPages:
    """`metrics` must be told every event, from the start; `serve` serves them while the service runs."""

    def __init__(self, settings: Settings, effects: Effects) -> None:
        self._settings = settings
        self._effects = effects
        self._instance: Instance | None = None
        self._liveness = Liveness(effects.clock)
        self._readings = Readings(self._look, self._free_bytes, effects.clock)
        self.metrics = Metrics(
            settings.accounts,
            self._readings,
            effects.clock,
            beat_age=lambda: self._liveness.age_seconds,
            reserve_bytes=settings.storage.min_free_bytes,
        )

    @contextlib.contextmanager
    def serve(self, instance: Instance, observer: Observer) -> Iterator[Liveness]:
        """Serve until the block ends, which must keep the liveness informed.

        UsageError if the configured address is unavailable. If the default address is, there are no pages: a second
        service on this machine would use the same.
        """
        self._instance = instance
        listening = self._listening(observer)
        if listening is None:
            yield self._liveness
            return
        pages = Pages(self.unhealthy, self.unready, self._page)
        app = application(pages, admission_of(self._settings.http))
        server = Server(listening, app, observer, self._effects.clock)
        server.start()
        try:
            yield self._liveness
        finally:
            server.stop()

    def unhealthy(self) -> str:
        """Why the service should be restarted; empty if it is alive."""
        age = self._liveness.age_seconds
        return "" if age < HEALTHY_SECONDS else f"the service has not been alive for {age:.0f} seconds"

    def unready(self) -> str:
        """Why the service cannot work at the moment; empty if it can."""
        if not self._liveness.is_running:
            return "the service is starting or stopping"
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
            observer.note(EventName.HTTP_UNAVAILABLE, reason=str(trouble))
            return None

    def _page(self) -> tuple[str, bytes]:
        page = self.metrics.page()
        return page.content_type, page.body

    def _look(self) -> tuple[tuple[AccountOverview, ...], tuple[AccountCondition, ...]]:
        if self._instance is None:
            raise DatabaseUnavailable("the archive is not open yet")
        archive, lately = self._instance.archive, self._effects.clock.now() - LATELY
        require_current(archive.database)
        ours = {
            account.id: account.label for account in self._instance.accounts
        }  # labels may have changed in the archive
        conditions = archive.account_statuses.conditions(ours, self._settings.sync.max_attempts, lately)
        names = {entry.label: ours[entry.id] for entry in archive.accounts.entries() if entry.id in ours}
        overviews = archive.account_statuses.overviews(tuple(names))
        return (
            tuple(replace(one, account=names[one.account]) for one in overviews if one.account in names),
            tuple(replace(one, label=ours[one.account_id]) for one in conditions),
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
    """Who may read the pages."""
    address = http.address
    own = set() if address is None else {f"[{address.host}]" if ":" in address.host else address.host}
    return Admission(LOOPBACK_NAMES | own | set(http.allowed_hosts), http.token.get_secret_value())
