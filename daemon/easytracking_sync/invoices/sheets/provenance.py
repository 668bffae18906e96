"""What is said of the file itself: its signatures, how it was read, what a person should look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from easytracking_sync.invoices.certificates import Anchors
from easytracking_sync.invoices.reading import DocumentReading, Verdict, read
from easytracking_sync.invoices.remarks import Flag, Remark
from easytracking_sync.invoices.sdi_metadata import Agreement, agreements, read_sdi_metadata
from easytracking_sync.invoices.sheets.sheet import Fact, Facts, Notes, Tone
from easytracking_sync.invoices.sheets.words import Words, facts
from easytracking_sync.invoices.signatures import (
    NO_ANCHORS,
    Answer,
    Kind,
    Signature,
    TimeSource,
    check_signatures,
    signatures_inside,
)
from easytracking_sync.terms import FileType


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a sheet's invoice came from; what is not known stays empty."""

    file_name: str = ""
    shown: FileType | None = None
    sha256: str = ""
    verdict: Verdict = Verdict.UNDERSTOOD
    remarks: tuple[Remark, ...] = ()
    signatures: tuple[Signature, ...] = ()
    same_as_unsigned: bool | None = None
    agreements: tuple[Agreement, ...] = ()
    sdi_id: str = ""
    received: datetime | None = None


def provenance_of(
    files: Mapping[FileType, bytes],
    found: DocumentReading,
    *,
    file_name: str = "",
    sdi_id: str = "",
    received: datetime | None = None,
    anchors: Anchors = NO_ANCHORS,
) -> Provenance:
    """Everything that a document's files say of themselves; `file_name` is that of FA, `sdi_id` the list's.

    Signatures are those of FA, whichever file is shown: the others have none, or another intermediary's.
    """
    signed = read(files[FileType.FA]) if FileType.FA in files else found.reading
    metadata = read_sdi_metadata(files[FileType.MT]) if FileType.MT in files else None
    agreed = agreements(metadata, files[FileType.FA], file_name, sdi_id) if metadata and FileType.FA in files else ()
    return Provenance(
        file_name=file_name,
        shown=found.shown,
        sha256=found.reading.sha256,
        verdict=found.reading.verdict,
        remarks=found.reading.remarks,
        signatures=(
            *check_signatures(signed.envelopes, anchors=anchors, received=received),
            *signatures_inside(signed.xml_signatures),
        ),
        same_as_unsigned=found.same_as_unsigned,
        agreements=agreed,
        sdi_id=sdi_id,
        received=received,
    )


_REMARKS = {
    Flag.SALVAGED: ("La busta firmata è danneggiata: la fattura è stata recuperata, la firma non è verificabile.",
                    "The signed envelope is damaged: the invoice was salvaged, its signature cannot be checked."),
    Flag.TRANSCODED: ("La busta firmata è stata salvata come testo: la fattura è stata recuperata.",
                      "The signed envelope was saved as text: the invoice was salvaged."),
    Flag.ENCODING: ("La codifica dichiarata dei caratteri non è quella usata.",
                    "The declared character encoding is not the one that is used."),
    Flag.CONTROLS: ("Caratteri vietati nell'XML sono stati tolti.", "Characters that XML forbids were dropped."),
    Flag.MENDED_XML: ("L'XML è danneggiato ed è stato riparato: confrontare con l'originale.",
                      "The XML is damaged and was mended: compare it with the original."),
    Flag.BASE64: ("Il file è in base64, {} volta/e.", "The file is base64 text, {} time(s)."),
    Flag.MORE_BODIES: ("Il file contiene {} fatture: non tutte sono state lette.",
                       "The file holds {} invoices: not all of them were read."),
    Flag.MISSING: ("Manca: {}.", "Missing: {}."),
    Flag.NOT_A_NUMBER: ("Non è un numero: {}", "Not a number: {}"),
    Flag.NOT_A_DATE: ("Non è una data: {}", "Not a date: {}"),
    Flag.ODD_YEAR: ("Anno insolito: {}", "Unusual year: {}"),
    Flag.TOTAL_DIFFERS: ("Il totale indicato e il riepilogo IVA non quadrano di {}.",
                         "The stated total and the VAT summary differ by {}."),
    Flag.LINES_DIFFER: ("Riga {}: quantità per prezzo non dà l'importo.",
                        "Line {}: quantity times price is not the amount."),
    Flag.ROUNDING_UNCLEAR: ("Arrotondamento IVA di {}: può essere già compreso nell'imponibile.",
                            "VAT rounding of {}: it may be within the taxable amount already."),
    Flag.NET_TAKEN_FOR_GROSS: ("Riga {}: l'importo sembra senza IVA, ma dovrebbe comprenderla.",
                               "Line {}: the amount seems to be without VAT, but should have it."),
    Flag.IBAN_INVALID: ("IBAN non valido: {}", "Invalid IBAN: {}"),
    Flag.ATTACHMENT_EMPTY: ("Allegato vuoto: {}", "Empty attachment: {}"),
    Flag.ATTACHMENT_DAMAGED: ("Allegato danneggiato: {}", "Damaged attachment: {}"),
    Flag.ATTACHMENT_BASE64_TWICE: ("Allegato codificato due volte: {}", "Attachment encoded twice: {}"),
    Flag.ATTACHMENT_KIND: ("Il contenuto dell'allegato non è del tipo del suo nome: {}",
                           "The attachment's content is not of the kind its name says: {}"),
}  # fmt: skip

_MISSING = {
    "type": ("tipo documento", "document type"),
    "number": ("numero", "number"),
    "date": ("data", "date"),
    "seller": ("fornitore", "seller"),
    "buyer": ("cliente", "buyer"),
    "total": ("totale", "total"),
}


def remark_text(remark: Remark, words: Words) -> str:
    """One remark as a sentence."""
    detail = remark.detail
    if remark.flag is Flag.MISSING:
        detail = words(*_MISSING.get(detail, (detail, detail)))
    return words(*_REMARKS[remark.flag]).replace("{}", detail)


def to_look_at(remarks: Sequence[Remark], words: Words) -> Notes | None:
    """Each kind of remark once for each detail."""
    found = tuple(dict.fromkeys(remark_text(remark, words) for remark in remarks))
    return Notes(words("Da controllare", "To look at"), found, Tone.WARNING) if found else None


def signature_blocks(provenance: Provenance, words: Words) -> Iterator[Facts]:
    """One block a signature; unsigned XML is lawful between companies and gets none."""
    many = len(provenance.signatures) > 1
    for number, one in enumerate(provenance.signatures, start=1):
        heading = words("Firma", "Signature") + (f" {number}" if many else "")
        yield Facts(heading, _signature(one, words))


def _signature(one: Signature, words: Words) -> tuple[Fact, ...]:
    certificate = one.certificate
    rows = [] if certificate is None else _who(one, words)
    unknown = words("non indicata", "not given")
    source = {
        TimeSource.TIMESTAMP: words("marca temporale", "timestamp"),
        TimeSource.CLAIM: words("dichiarata dal firmatario", "claimed by the signer"),
        TimeSource.NONE: "",
    }[one.time_source]
    when = f"{words.moment(one.time)} ({source})" if one.time else unknown
    inside = words("non verificata da questo programma (firma nell'XML)", "not verified by this program (in the XML)")
    intact = inside if one.kind is Kind.INSIDE else _answer(one.intact, words)
    no_anchors = words("non verificato", "not checked")
    revoked = words("non verificata; SdI la verifica alla ricezione", "not checked; SDI checks it on entry")
    return facts(
        *rows,
        (words("Data della firma", "Signed on"), when),
        (words("Integra", "Intact"), intact),
        (words("Legata al certificato", "Bound to the certificate"), _answer(one.bound, words)),
        (words("Certificato valido allora", "Certificate valid then"), _answer(one.valid_then, words)),
        (
            words("Emittente attendibile", "Trusted issuer"),
            no_anchors if one.trusted is Answer.UNKNOWN else _answer(one.trusted, words),
        ),
        (words("Revoca", "Revocation"), revoked),
        (words("Algoritmo", "Algorithm"), words("debole", "weak") if one.weak else ""),
        (words("Controfirme", "Countersignatures"), str(one.countersigners) if one.countersigners else ""),
    )


def _who(one: Signature, words: Words) -> list[tuple[str, str]]:
    certificate = one.certificate
    if certificate is None:
        return []
    holder = certificate.holder
    organisation = " - ".join(part for part in (holder.organisation, holder.organisation_id) if part)
    period = f"{words.date(certificate.valid_from.date())} - {words.date(certificate.valid_to.date())}"
    return [
        (words("Firmatario", "Signer"), holder.name),
        (words("Codice fiscale", "Fiscal code"), holder.tax_code),
        (words("Organizzazione", "Organisation"), organisation),
        (words("Emesso da", "Issued by"), certificate.issuer),
        (words("Validità del certificato", "Certificate valid"), period),
        (
            words("Certificato qualificato", "Qualified certificate"),
            words("sì, per sua dichiarazione", "yes, as it says") if certificate.qualified else "",
        ),
    ]


def _answer(answer: Answer, words: Words) -> str:
    return {
        Answer.YES: words("sì", "yes"),
        Answer.NO: words("NO", "NO"),
        Answer.UNKNOWN: words("non si può dire", "cannot be told"),
    }[answer]


def origin(provenance: Provenance, words: Words) -> Facts | None:
    """The file, how it arrived, and how its copies and SDI's metadata agree with it."""
    agreed = {
        Agreement.SDI_ID: words("identificativo SdI", "SDI id"),
        Agreement.FILE_NAME: words("nome del file", "file name"),
        Agreement.HASH: words("impronta", "hash"),
    }
    same = provenance.same_as_unsigned
    rows = facts(
        (words("File", "File"), provenance.file_name),
        (words("Copia mostrata", "Copy shown"), provenance.shown.value if provenance.shown else ""),
        (words("Identificativo SdI", "SDI id"), provenance.sdi_id),
        (words("Ricevuta il", "Received"), words.moment(provenance.received) if provenance.received else ""),
        (words("Impronta SHA-256", "SHA-256"), provenance.sha256),
        (
            words("Metadati SdI concordi in", "SDI's metadata agree in"),
            ", ".join(agreed[one] for one in provenance.agreements),
        ),
        (
            words("Copia senza firma", "Unsigned copy"),
            "" if same is None else words("uguale", "same") if same else words("diversa", "differs"),
        ),
    )
    return Facts(words("Provenienza", "Origin"), rows) if rows else None
