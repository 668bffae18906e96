"""Generates a document's files on every request; the same document always gives the same bytes."""

from __future__ import annotations

import random
from xml.sax.saxutils import escape

from easytracking_simulator import fatturapa, ubl
from easytracking_simulator.documents import ROMANIA, Document, File
from easytracking_simulator.signing import Signer

MESSAGES = "http://www.fatturapa.gov.it/sdi/messaggi/v1.0"


class FileGenerator:
    """Generates FA, MT, FU and, for some documents, FI (section 7), named as in section 12."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._signer = Signer(seed)

    def files(self, document: Document) -> tuple[File, ...]:
        """All files of the document. SigningUnavailableError if it is signed and the optional signer is missing."""
        if document.files is not None:
            return document.files
        invoice = self._invoice(document)
        original = self._signer.sign(invoice, document.received) if document.signed else invoice
        sent = f"{document.stem}_{document.file_name}"
        base = sent.removesuffix(".p7m").removesuffix(".xml")
        files = [
            File("FA", sent, original),
            File("MT", f"{base}_MT_001.xml", metadata(document)),
            File("FU", f"IT{fatturapa.PLATFORM}_{document.id + 7317}.xml", invoice),
        ]
        if document.intermediary:
            files.append(File("FI", f"{base}_FI.xml", self._invoice(document, by_intermediary=True)))
        return tuple(files)

    def _invoice(self, document: Document, *, by_intermediary: bool = False) -> bytes:
        rng = random.Random(f"{self._seed}/{document.id}/{document.revision}")
        if document.channel == ROMANIA:
            return ubl.invoice(document, rng)
        return fatturapa.invoice(document, rng, by_intermediary=by_intermediary)


def metadata(document: Document) -> bytes:
    """SDI's MetadatiInvioFile about the original."""
    kind = "UBL21" if document.channel == ROMANIA else "FPR12"
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<ns3:MetadatiInvioFile xmlns:ns2="http://www.w3.org/2000/09/xmldsig#"'
        f' xmlns:ns3="{MESSAGES}" versione="1.0">\n'
        f"    <IdentificativoSdI>{escape(document.sdi_id)}</IdentificativoSdI>\n"
        f"    <NomeFile>{escape(document.file_name)}</NomeFile>\n"
        "    <CodiceDestinatario>M5UXCR1</CodiceDestinatario>\n"
        f"    <Formato>{kind}</Formato>\n"
        "    <TentativiInvio>1</TentativiInvio>\n"
        f"    <MessageId>{document.id}</MessageId>\n"
        "</ns3:MetadatiInvioFile>\n"
    ).encode()
