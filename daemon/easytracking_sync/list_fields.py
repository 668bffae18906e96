"""The fields of the service's document list (section 4): their names, types and headings, in one table.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Annotated, get_args, get_type_hints


@dataclass(frozen=True, slots=True)
class ListField:
    """One field of the list: its name, its type, and how it is shown."""

    wire: str  # its name in the list
    heading: str  # for display; fields with the same heading share a line
    json: str | None = None  # its key in `invoices list --json`: `name` if None, hidden if ""
    words: Mapping[object, str] = field(default_factory=dict)  # values that are displayed as words
    verbatim: bool = False  # the original text of a field that is also parsed
    name: str = ""
    type: type = str  # str, int, date or datetime (naive, local to the service, to the second)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFields:
    """The fields of the list except `id`, in the order in which they are shown.

    Reading and comparing lists, the columns, JSON and pages all follow from this table. To add a field, add a line
    here and a migration that adds its column.
    """

    number: Annotated[str | None, ListField("number", "number")] = None
    document_date: Annotated[date | None, ListField("data", "document date")] = None
    document_type: Annotated[str | None, ListField("documentType", "document type")] = None
    sender_piva: Annotated[str | None, ListField("senderPIVA", "sender")] = None
    sender_cf: Annotated[str | None, ListField("senderCF", "sender")] = None
    receiver_piva: Annotated[str | None, ListField("receiverPIVA", "receiver")] = None
    receiver_cf: Annotated[str | None, ListField("receiverCF", "receiver")] = None
    sdi_id: Annotated[str | None, ListField("sdiId", "SDI id")] = None
    received: Annotated[datetime | None, ListField("dataRicezione", "received", json="received_at")] = None
    received_text: Annotated[str | None, ListField("dataRicezione", "", json="", verbatim=True)] = None
    file_name: Annotated[str | None, ListField("fileName", "file name")] = None
    annual_progressive: Annotated[int | None, ListField("progressivoAnnualeCaricamento", "annual number")] = None
    country_channel: Annotated[
        int | None, ListField("countryChannel", "channel", words={0: "Italy", 1: "Romania"})
    ] = None


def _fields_of(table: type) -> tuple[ListField, ...]:
    hints = {name: get_args(hint) for name, hint in get_type_hints(table, include_extras=True).items()}
    return tuple(
        replace(given, name=name, type=get_args(optional)[0], json=name if given.json is None else given.json)
        for name, (optional, given) in hints.items()
    )


LIST_FIELDS = _fields_of(ListedFields)


@dataclass(frozen=True, slots=True)
class ListedDocument(ListedFields):
    """One element of the list; all fields except `doc_id` are optional.

    `raw` is the element as the service sent it. Equal fingerprints mean that no field has changed; if they differ,
    `list_element.means_the_same` decides.
    """

    doc_id: int
    raw: bytes
    fingerprint: str
