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
    """One file on its way into the zip. `entry` None: named by the index only; `indexed` False: the reverse."""

    doc_id: int
    type: str
    name: str
    entry: Entry | None
    indexed: bool = True

    def rename(self, name: str) -> None:
        """Another name, in the index and in the zip."""
        self.name = name
        if self.entry:
            self.entry.name = name.encode()


@dataclass(slots=True)
class Draft:
    """A zip before it is sealed; `tricks` spoil it here."""

    files: list[Packed]
    index_name: str | None = INDEX
    index_body: bytes | None = None
    before: bytes = b""
    extra: list[Entry] = field(default_factory=list)

    def ids(self) -> list[int]:
        """The documents in it, each once, in their order."""
        return list(dict.fromkeys(packed.doc_id for packed in self.files))

    def of(self, doc_id: int) -> list[Packed]:
        return [packed for packed in self.files if packed.doc_id == doc_id]

    def index(self) -> dict[str, Any]:
        """What indice.json says."""
        rows = [
            {"id": packed.doc_id, "fileName": packed.name, "fileType": packed.type}
            for packed in self.files
            if packed.indexed
        ]
        return {"files": rows}

    def sealed(self) -> bytes:
        """The zip's bytes."""
        entries = [packed.entry for packed in self.files if packed.entry] + self.extra
        if self.index_name is not None:
            body = self.index_body if self.index_body is not None else index_json(self.index())
            entries.append(Entry(self.index_name.encode(), body))
        return self.before + seal(entries)


def index_json(index: dict[str, Any]) -> bytes:
    """Laid out as in section 12."""
    return json.dumps(index, indent=2, ensure_ascii=False).encode()


def draft(documents: Iterable[tuple[int, tuple[File, ...]]], types: frozenset[str]) -> Draft:
    """The ordinary zip: of each document the files of the wanted types."""
    return Draft(
        [
            Packed(doc_id, file.type, file.name, Entry(file.name.encode(), file.body))
            for doc_id, files in documents
            for file in files
            if file.type in types
        ]
    )
