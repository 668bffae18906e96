"""Invoices written by hand for the tests, and envelopes made around them without the reader's libraries."""

from __future__ import annotations

import base64
from pathlib import Path

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
MISSING = "the corpus of real files is not beside the repository"

SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
PLAIN = bytes.fromhex("06092a864886f70d010701")

ORDINARY = """<?xml version="1.0" encoding="UTF-8"?>
<p:FatturaElettronica versione="FPR12" xmlns:p="http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/v1.2">
 <FatturaElettronicaHeader>
  <DatiTrasmissione><ProgressivoInvio>00042</ProgressivoInvio><FormatoTrasmissione>FPR12</FormatoTrasmissione>
   <CodiceDestinatario>ABC1234</CodiceDestinatario></DatiTrasmissione>
  <CedentePrestatore><DatiAnagrafici><IdFiscaleIVA><IdPaese>IT</IdPaese><IdCodice>01234567897</IdCodice></IdFiscaleIVA>
   <Anagrafica><Denominazione>Perché &amp; Figli Srl</Denominazione></Anagrafica><RegimeFiscale>RF01</RegimeFiscale>
   </DatiAnagrafici><Sede><Indirizzo>Via Roma</Indirizzo><NumeroCivico>1</NumeroCivico><CAP>00100</CAP>
   <Comune>Roma</Comune><Provincia>RM</Provincia><Nazione>IT</Nazione></Sede></CedentePrestatore>
  <CessionarioCommittente><DatiAnagrafici><CodiceFiscale>RSSMRA80A01H501U</CodiceFiscale>
   <Anagrafica><Nome>Mario</Nome><Cognome>Rossi</Cognome></Anagrafica></DatiAnagrafici>
   <Sede><Indirizzo>Via Po 2</Indirizzo><CAP>10100</CAP><Comune>Torino</Comune><Nazione>IT</Nazione></Sede>
  </CessionarioCommittente>
 </FatturaElettronicaHeader>
 <FatturaElettronicaBody>
  <DatiGenerali><DatiGeneraliDocumento><TipoDocumento>TD01</TipoDocumento><Divisa>EUR</Divisa><Data>2026-11-02</Data>
   <Numero>12/A</Numero><ImportoTotaleDocumento>122.00</ImportoTotaleDocumento></DatiGeneraliDocumento></DatiGenerali>
  <DatiBeniServizi>
   <DettaglioLinee><NumeroLinea>1</NumeroLinea><Descrizione>Consulenza</Descrizione><Quantita>2.00</Quantita>
    <PrezzoUnitario>50.00000000</PrezzoUnitario><PrezzoTotale>100.00</PrezzoTotale><AliquotaIVA>22.00</AliquotaIVA>
   </DettaglioLinee>
   <DatiRiepilogo><AliquotaIVA>22.00</AliquotaIVA><ImponibileImporto>100.00</ImponibileImporto><Imposta>22.00</Imposta>
    <EsigibilitaIVA>I</EsigibilitaIVA></DatiRiepilogo>
  </DatiBeniServizi>
  <DatiPagamento><CondizioniPagamento>TP02</CondizioniPagamento><DettaglioPagamento>
   <ModalitaPagamento>MP05</ModalitaPagamento><DataScadenzaPagamento>2026-12-02</DataScadenzaPagamento>
   <ImportoPagamento>122.00</ImportoPagamento><IBAN>IT60X0542811101000000123456</IBAN></DettaglioPagamento></DatiPagamento>
 </FatturaElettronicaBody>
</p:FatturaElettronica>
"""


def length(number: int) -> bytes:
    """A definite BER length."""
    if number < 0x80:
        return bytes([number])
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(digits)]) + digits


def element(tag: int, *parts: bytes) -> bytes:
    """One element with a definite length."""
    content = b"".join(parts)
    return bytes([tag]) + length(len(content)) + content


def endless(tag: int, *parts: bytes) -> bytes:
    """One element of indefinite length."""
    return bytes([tag]) + b"\x80" + b"".join(parts) + b"\0\0"


def unsigned_envelope(content: bytes) -> bytes:
    """A DER envelope around the content that nobody signed."""
    inner = element(0x30, PLAIN, element(0xA0, element(0x04, content)))
    data = element(0x30, b"\x02\x01\x01", element(0x31), inner, element(0x31))
    return element(0x30, SIGNED_DATA, element(0xA0, data))


def segmented_envelope(content: bytes, segment: int = 300) -> bytes:
    """The same in BER, of indefinite lengths, with the content in segments."""
    pieces = [element(0x04, content[at : at + segment]) for at in range(0, len(content), segment)]
    inner = endless(0x30, PLAIN, endless(0xA0, endless(0x24, *pieces)))
    data = endless(0x30, b"\x02\x01\x01", element(0x31), inner, element(0x31))
    return endless(0x30, SIGNED_DATA, endless(0xA0, data))


def detached_envelope() -> bytes:
    """A signature without what was signed."""
    data = element(0x30, b"\x02\x01\x01", element(0x31), element(0x30, PLAIN), element(0x31))
    return element(0x30, SIGNED_DATA, element(0xA0, data))


def pem(data: bytes, label: str = "PKCS7") -> bytes:
    """The bytes as PEM."""
    return f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(data) + f"-----END {label}-----\n".encode()
