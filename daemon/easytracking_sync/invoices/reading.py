"""A stored file read: bytes become a `Reading`. Content never makes this raise; it gets a verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from easytracking_sync.invoices import fatturapa, sdi_metadata, ubl
from easytracking_sync.invoices.attachments import named
from easytracking_sync.invoices.decoding import decode
from easytracking_sync.invoices.envelope import Damaged, Opened, open_all, salvaged
from easytracking_sync.invoices.invoice import Field, Format, Invoice
from easytracking_sync.invoices.limits import MOST_BODIES
from easytracking_sync.invoices.remarks import MENDED, Flag, Remark
from easytracking_sync.invoices.tree import Node
from easytracking_sync.invoices.unreadable import Reason, Unreadable
from easytracking_sync.invoices.xml import parse, parses_strictly
from easytracking_sync.terms import FileType

READER: Final = 1
"""Raised whenever a reading rule changes: what an older reader read is read again."""

_SDI_MESSAGES: Final = sdi_metadata.ROOTS | {
    "RicevutaConsegna",
    "RicevutaScarto",
    "RicevutaImpossibilitaRecapito",
    "NotificaMancataConsegna",
    "NotificaScarto",
    "NotificaEsito",
    "NotificaEsitoCommittente",
    "NotificaDecorrenzaTermini",
    "ScartoEsitoCommittente",
    "AttestazioneTrasmissioneFattura",
}
_ANAF_MESSAGES: Final = frozenset({"header", "mesaj"})
_CII: Final = "CrossIndustryInvoice"
_SIGNATURE: Final = "Signature"
_PREFERRED: Final = (FileType.FA, FileType.FU, FileType.FI)


class Verdict(StrEnum):
    """How far a file was understood. The values are stored and printed; none changes the document's state."""

    UNDERSTOOD = "understood"
    REPAIRED = "repaired"  # the values are right, but something had to be mended
    PARTIAL = "partial"  # a header without a body, or a body without a header
    NOT_UNDERSTOOD = "not_understood"
    NOT_AN_INVOICE = "not_an_invoice"  # a message of SDI or ANAF, or an empty file


@dataclass(frozen=True, slots=True)
class Reading:
    """What is in one file. `content` is the XML in it, without envelopes; empty where none was found."""

    verdict: Verdict
    sha256: str  # of the file as it was stored
    reader: int = READER
    reason: Reason | None = None
    reason_detail: str = ""
    format: Format | None = None
    invoices: tuple[Invoice, ...] = ()
    remarks: tuple[Remark, ...] = ()
    encoding: str = ""
    content: bytes = field(default=b"", repr=False)
    envelopes: tuple[bytes, ...] = field(default=(), repr=False)  # signed ones, outermost first
    damaged_envelope: bool = False
    xml_signatures: tuple[Node, ...] = field(default=(), repr=False)
    fields: tuple[Field, ...] = field(default=(), repr=False)  # of what is no invoice of a known form


def read(data: bytes) -> Reading:
    """The file read. Reading it again gives the same."""
    sha256 = hashlib.sha256(data).hexdigest()
    envelopes: tuple[bytes, ...] = ()
    try:
        opened = open_all(data)
        envelopes = opened.signed
        return _read(opened, sha256)
    except Unreadable as error:
        verdict = Verdict.NOT_AN_INVOICE if error.reason is Reason.EMPTY else Verdict.NOT_UNDERSTOOD
        return Reading(verdict, sha256, reason=error.reason, reason_detail=error.detail, envelopes=envelopes)


@dataclass(frozen=True, slots=True)
class DocumentReading:
    """A document's files read: the reading that is shown, of which file type it is, and how the others compare."""

    shown: FileType
    reading: Reading
    same_as_unsigned: bool | None  # FU is byte for byte what FA's signature is around; None where there are not both


def read_document(files: Mapping[FileType, bytes]) -> DocumentReading | None:
    """FA; where FA cannot be read or had to be salvaged, FU; then FI. None without any of them."""
    readings: dict[FileType, Reading] = {}
    for file_type in _PREFERRED:
        if file_type not in files:
            continue
        readings[file_type] = read(files[file_type])
        if _good(readings[file_type]):
            break
    if not readings:
        return None
    shown = min(readings, key=lambda one: (_rank(readings[one]), _PREFERRED.index(one)))
    original = readings.get(FileType.FA)
    same = None
    if original and original.envelopes and not original.damaged_envelope and FileType.FU in files:
        same = original.content == files[FileType.FU]
    return DocumentReading(shown, readings[shown], same)


def _good(reading: Reading) -> bool:
    return reading.verdict is Verdict.UNDERSTOOD or (
        reading.verdict is Verdict.REPAIRED and not reading.damaged_envelope
    )


def _rank(reading: Reading) -> int:
    if _good(reading):
        return 0
    return [Verdict.REPAIRED, Verdict.PARTIAL, Verdict.NOT_AN_INVOICE, Verdict.NOT_UNDERSTOOD].index(
        reading.verdict
    ) + 1


def _read(opened: Opened | Damaged, sha256: str) -> Reading:
    remarks = [Remark(Flag.BASE64, str(opened.base64_layers))] if opened.base64_layers else []
    content = opened.content if isinstance(opened, Opened) else _salvage(opened, remarks)
    decoded = decode(content)
    root, flags = parse(decoded.text)
    remarks += [Remark(flag) for flag in (*decoded.flags, *flags)]
    signatures = tuple(child for child in root.children if child.name == _SIGNATURE)
    root.children = [child for child in root.children if child.name != _SIGNATURE]
    reading = Reading(
        Verdict.UNDERSTOOD,
        sha256,
        encoding=decoded.encoding,
        content=content,
        envelopes=opened.signed,
        damaged_envelope=isinstance(opened, Damaged),
        xml_signatures=signatures,
        remarks=tuple(remarks),
    )
    return _with_invoices(reading, root)


def _salvage(damaged: Damaged, remarks: list[Remark]) -> bytes:
    """The first guess that is whole XML, else the first of all. Unreadable, as before, where there is none."""
    guesses = list(salvaged(damaged.rest))
    if damaged.error.reason is Reason.DETACHED or not guesses:
        raise damaged.error
    content, transcoded = next((guess for guess in guesses if _whole(guess[0])), guesses[0])
    remarks.append(Remark(Flag.TRANSCODED if transcoded else Flag.SALVAGED))
    return content


def _whole(content: bytes) -> bool:
    try:
        return parses_strictly(decode(content).text)
    except Unreadable:
        return False


def _with_invoices(reading: Reading, root: Node) -> Reading:
    if root.name in fatturapa.ROOTS:
        return _invoices(reading, fatturapa.ROOTS[root.name], fatturapa.read_fatturapa(root), root)
    if root.name in ubl.ROOTS:
        return _invoices(reading, ubl.ROOTS[root.name], ubl.read_ubl(root), root)
    fields = tuple(_fields(root))
    if root.name == _CII:
        return replace(reading, verdict=Verdict.PARTIAL, format=Format.CII, fields=fields)
    if root.name in _SDI_MESSAGES:
        return replace(reading, verdict=Verdict.NOT_AN_INVOICE, format=Format.SDI_MESSAGE, fields=fields)
    if root.name in _ANAF_MESSAGES:
        return replace(reading, verdict=Verdict.NOT_AN_INVOICE, format=Format.ANAF_MESSAGE, fields=fields)
    raise Unreadable(Reason.UNKNOWN_DOCUMENT)


def _fields(root: Node) -> Iterator[Field]:
    """Every text, and the attributes of the root and of what has no children: ANAF's messages say all in them."""
    for path, node in (("", root), *root.leaves()):
        for name, value in node.attributes.items():
            if value.strip() and name != "schemaLocation":
                yield Field(f"{path}/{name}".strip("/"), value.strip())
        if node.text and not node.children:
            yield Field(path, node.text)


def _invoices(reading: Reading, kind: Format, invoices: tuple[Invoice, ...], root: Node) -> Reading:
    if not invoices:
        raise Unreadable(Reason.HOLLOW)
    remarks = list(reading.remarks)
    if invoices[0].bodies > MOST_BODIES:
        remarks.append(Remark(Flag.MORE_BODIES, str(invoices[0].bodies)))
    verdict = Verdict.UNDERSTOOD
    if any(remark.flag in MENDED for remark in remarks):
        verdict = Verdict.REPAIRED
    headless = kind in fatturapa.ROOTS.values() and root.first(fatturapa.HEADER) is None
    if invoices[0].bodies == 0 or headless:
        verdict = Verdict.PARTIAL
    return replace(reading, verdict=verdict, format=kind, invoices=_safely_named(invoices), remarks=tuple(remarks))


def _safely_named(invoices: tuple[Invoice, ...]) -> tuple[Invoice, ...]:
    """Attachments' names are distinct within the file, whichever body they belong to."""
    names = iter(named([one for invoice in invoices for one in invoice.attachments]))
    return tuple(
        replace(invoice, attachments=tuple(next(names) for _ in invoice.attachments))
        if invoice.attachments
        else invoice
        for invoice in invoices
    )
