"""What commands ask of the archive; reads only, but for the operator's ways out of quarantine."""

from __future__ import annotations

from easytracking_sync.archive.database import Database


class Catalogue:
    """Questions about documents, files and backlog."""

    def __init__(self, database: Database) -> None:
        self._database = database
