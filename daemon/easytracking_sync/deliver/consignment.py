"""What a sink receives: one version of one document, its files, and the metadata beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date

from easytracking_sync.list_fields import LIST_FIELDS, ListedFields
from easytracking_sync.terms import ParcelFile


@dataclass(frozen=True, slots=True)
class Consignment:
    """One version of one document for one sink."""

    sink: str
    account: str
    doc_id: int
    version: int
    listed: ListedFields
    files: tuple[ParcelFile, ...]

    @property
    def id(self) -> str:
        """The same for each attempt, so that a receiver recognises a repetition. Letters, digits and _ only."""
        key = json.dumps([self.sink, self.account, self.doc_id, self.version])
        return f"dlv_{hashlib.sha256(key.encode()).hexdigest()[:32]}"

    @property
    def shown_id(self) -> str:
        """ACCOUNT/ID, as on the command line."""
        return f"{self.account}/{self.doc_id}"


def sidecar(consignment: Consignment, names: tuple[str, ...]) -> bytes:
    """JSON with the metadata and the files under the names that they have at the sink, in the same order.

    Equal for each attempt. Reception times are local to the service.
    """
    files = [
        {"name": name, "type": file.type, "size": file.size, "sha256": file.sha256, "original_name": file.name}
        for file, name in zip(consignment.files, names, strict=True)
    ]
    content = {**metadata(consignment), "files": files}
    return (json.dumps(content, indent=1) + "\n").encode("ascii")


def metadata(consignment: Consignment) -> dict[str, object]:
    """What identifies and describes the document, for JSON; the keys of `invoices list --json`."""
    listed = {field.json: _shown(getattr(consignment.listed, field.name)) for field in LIST_FIELDS if field.json}
    return {
        "id": consignment.id,
        "account": consignment.account,
        "doc_id": consignment.doc_id,
        "version": consignment.version,
        **listed,
    }


def _shown(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value
