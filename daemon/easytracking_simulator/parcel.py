"""The zip that answers a fetch: the files of the job's documents and `indice.json` (sections 7 and 12)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from easytracking_simulator.documents import File
from easytracking_simulator.zip_writer import Entry, seal

INDEX = "indice.json"


@dataclass(slots=True)
class Packed:
    """One file for the zip. `entry` None: it is in the index only; `indexed` False: in the zip only."""

    doc_id: int
    type: str
    name: str
    entry: Entry | None
    indexed: bool = True

    def rename(self, name: str) -> None:
        """Rename it in the index and in the zip."""
        self.name = name
        if self.entry:
            self.entry.name = name.encode()


@dataclass(slots=True)
class Draft:
    """A zip before it is written; `zip_faults` modify it."""

    files: list[Packed]
    index_name: str | None = INDEX
    index_body: bytes | None = None
    before: bytes = b""
    extra: list[Entry] = field(default_factory=list)

    def ids(self) -> list[int]:
        """The docIds in it, each once, in their order."""
        return list(dict.fromkeys(packed.doc_id for packed in self.files))

    def of(self, doc_id: int) -> list[Packed]:
        return [packed for packed in self.files if packed.doc_id == doc_id]

    def index(self) -> dict[str, Any]:
        rows = [
            {"id": packed.doc_id, "fileName": packed.name, "fileType": packed.type}
            for packed in self.files
            if packed.indexed
        ]
        return {"files": rows}

    def sealed(self) -> bytes:
        entries = [packed.entry for packed in self.files if packed.entry] + self.extra
        if self.index_name is not None:
            body = self.index_body if self.index_body is not None else index_json(self.index())
            entries.append(Entry(self.index_name.encode(), body))
        return self.before + seal(entries)


def index_json(index: dict[str, Any]) -> bytes:
    """`indice.json` in the layout of section 12."""
    return json.dumps(index, indent=2, ensure_ascii=False).encode()


def draft(documents: Iterable[tuple[int, tuple[File, ...]]], types: frozenset[str]) -> Draft:
    """A zip without faults: the files of these types of each document."""
    return Draft(
        [
            Packed(doc_id, file.type, file.name, Entry(file.name.encode(), file.body))
            for doc_id, files in documents
            for file in files
            if file.type in types
        ]
    )
