"""Consignments for tests."""

from __future__ import annotations

import hashlib
from datetime import date, datetime

from easytracking_sync.deliver.consignment import Consignment
from easytracking_sync.list_fields import ListedFields
from easytracking_sync.terms import ParcelFile

INVOICE = b"<FatturaElettronica/>"
METADATA = b"<metadata/>"
LISTED = ListedFields(
    number="12/A",
    document_date=date(2026, 10, 30),
    sender_piva="IT01234567890",
    receiver_piva="IT09876543210",
    received=datetime(2026, 10, 31, 8, 5, 9),  # noqa: DTZ001 - local to the service
    file_name="IT01234567890_00001.xml",
    annual_progressive=17,
)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_of(content: bytes, name: str = "IT01234567890_00001.xml", kind: str = "FA") -> ParcelFile:
    return ParcelFile(kind, name, len(content), sha256(content))


FILES = (file_of(INVOICE), file_of(METADATA, "IT01234567890_00001_MT_001.xml", "MT"))
CONTENTS = {sha256(content): content for content in (INVOICE, METADATA)}


def consignment(
    *, doc_id: int = 4711, version: int = 1, listed: ListedFields = LISTED, files: tuple[ParcelFile, ...] = FILES
) -> Consignment:
    return Consignment("erp", "acme", doc_id, version, listed, files)
