"""SDI's metadata file (MT): what it says of the invoice it came with, and where the two agree.

That the hash is the one of the very bytes SDI delivered is not confirmed on a real pair: agreement is shown, and a
disagreement is not held against anyone. The older `MetadatiInvioFile` has no hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from easytracking_sync.invoices.decoding import decode
from easytracking_sync.invoices.envelope import Opened, open_all
from easytracking_sync.invoices.taking import Taking
from easytracking_sync.invoices.unreadable import Unreadable
from easytracking_sync.invoices.xml import parse

ROOTS = frozenset({"FileMetadati", "MetadatiInvioFile"})


@dataclass(frozen=True, slots=True)
class SdiMetadata:
    """As written; empty where the file does not say it."""

    sdi_id: str
    file_name: str
    hash: str  # lower case
    recipient_code: str
    format: str
    attempts: str
    message_id: str


class Agreement(StrEnum):
    """In what metadata and invoice agree. The values are stored and printed."""

    SDI_ID = "sdi id"
    FILE_NAME = "file name"
    HASH = "hash"


def read_sdi_metadata(data: bytes) -> SdiMetadata | None:
    """None for anything that is not a metadata file; nothing is raised."""
    try:
        opened = open_all(data)
        if not isinstance(opened, Opened):
            return None
        root, _ = parse(decode(opened.content).text)
    except Unreadable:
        return None
    if root.name not in ROOTS:
        return None
    taking = Taking(root)
    return SdiMetadata(
        sdi_id=taking.said("IdentificativoSdI"),
        file_name=taking.said("NomeFile"),
        hash=taking.said("Hash").lower(),
        recipient_code=taking.said("CodiceDestinatario"),
        format=taking.said("Formato"),
        attempts=taking.said("TentativiInvio"),
        message_id=taking.said("MessageId"),
    )


def agreements(metadata: SdiMetadata, original: bytes, file_name: str, sdi_id: str) -> tuple[Agreement, ...]:
    """In what they agree: `original` is FA as it was stored, `file_name` its name, `sdi_id` the list's."""
    found = (
        (Agreement.SDI_ID, metadata.sdi_id, sdi_id.strip()),
        (Agreement.FILE_NAME, metadata.file_name.casefold(), file_name.strip().casefold()),
        (Agreement.HASH, metadata.hash, hashlib.sha256(original).hexdigest()),
    )
    return tuple(agreement for agreement, said, ours in found if said and said == ours)
