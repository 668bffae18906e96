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


def changed(*pairs: tuple[str, str], text: str = ORDINARY) -> bytes:
    """The ordinary invoice with some of its text replaced; each piece stands there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()


SIMPLIFIED = """<FatturaElettronicaSemplificata versione="FSM10">
 <FatturaElettronicaHeader>
  <DatiTrasmissione><FormatoTrasmissione>FSM10</FormatoTrasmissione></DatiTrasmissione>
  <CedentePrestatore><IdFiscaleIVA><IdPaese>IT</IdPaese><IdCodice>01234567897</IdCodice></IdFiscaleIVA>
   <Denominazione>Bar Sport</Denominazione><Sede><CAP>00100</CAP></Sede><RegimeFiscale>RF01</RegimeFiscale>
  </CedentePrestatore>
  <CessionarioCommittente><IdentificativiFiscali>
   <CodiceFiscale>RSSMRA80A01H501U</CodiceFiscale></IdentificativiFiscali>
  </CessionarioCommittente></FatturaElettronicaHeader>
 <FatturaElettronicaBody>
  <DatiGenerali><DatiGeneraliDocumento><TipoDocumento>TD07</TipoDocumento><Divisa>EUR</Divisa>
   <Data>2026-11-02</Data><Numero>7</Numero></DatiGeneraliDocumento></DatiGenerali>
  <DatiBeniServizi><Descrizione>Pranzo</Descrizione><Importo>110.00</Importo>
   <DatiIVA><Aliquota>10.00</Aliquota></DatiIVA>
  </DatiBeniServizi>
 </FatturaElettronicaBody>
</FatturaElettronicaSemplificata>
"""

UBL = """<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
 xmlns:cbc="urn:cbc" xmlns:cac="urn:cac">
 <cbc:CustomizationID>urn:cen.eu:en16931:2017</cbc:CustomizationID><cbc:ID>RO-1</cbc:ID>
 <cbc:IssueDate>2026-11-02</cbc:IssueDate><cbc:DueDate>2026-12-02</cbc:DueDate>
 <cbc:InvoiceTypeCode>380</cbc:InvoiceTypeCode><cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>
 <cbc:TaxCurrencyCode>RON</cbc:TaxCurrencyCode>
 <cac:AccountingSupplierParty><cac:Party><cac:PartyTaxScheme><cbc:CompanyID>RO123</cbc:CompanyID>
  <cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:PartyTaxScheme>
  <cac:PartyLegalEntity><cbc:RegistrationName>Vânzător SRL</cbc:RegistrationName></cac:PartyLegalEntity></cac:Party>
 </cac:AccountingSupplierParty>
 <cac:AccountingCustomerParty><cac:Party>
  <cac:PartyLegalEntity><cbc:RegistrationName>Cumpărător SA</cbc:RegistrationName>
  </cac:PartyLegalEntity></cac:Party></cac:AccountingCustomerParty>
 <cac:PaymentMeans><cbc:PaymentMeansCode>30</cbc:PaymentMeansCode>
  <cac:PayeeFinancialAccount><cbc:ID>RO49AAAA1B31007593840000</cbc:ID></cac:PayeeFinancialAccount></cac:PaymentMeans>
 <cac:TaxTotal><cbc:TaxAmount currencyID="RON">95.00</cbc:TaxAmount></cac:TaxTotal>
 <cac:TaxTotal><cbc:TaxAmount currencyID="EUR">19.00</cbc:TaxAmount><cac:TaxSubtotal>
  <cbc:TaxableAmount currencyID="EUR">100.00</cbc:TaxableAmount><cbc:TaxAmount currencyID="EUR">19.00</cbc:TaxAmount>
  <cac:TaxCategory><cbc:ID>S</cbc:ID><cbc:Percent>19</cbc:Percent></cac:TaxCategory></cac:TaxSubtotal></cac:TaxTotal>
 <cac:LegalMonetaryTotal><cbc:TaxExclusiveAmount currencyID="EUR">100.00</cbc:TaxExclusiveAmount>
  <cbc:TaxInclusiveAmount currencyID="EUR">119.00</cbc:TaxInclusiveAmount>
  <cbc:PayableAmount currencyID="EUR">119.00</cbc:PayableAmount></cac:LegalMonetaryTotal>
 <cac:InvoiceLine><cbc:ID>1</cbc:ID><cbc:InvoicedQuantity unitCode="H87">2</cbc:InvoicedQuantity>
  <cbc:LineExtensionAmount currencyID="EUR">100.00</cbc:LineExtensionAmount><cac:Item><cbc:Name>Servicii</cbc:Name>
  <cac:ClassifiedTaxCategory><cbc:ID>S</cbc:ID><cbc:Percent>19</cbc:Percent></cac:ClassifiedTaxCategory></cac:Item>
  <cac:Price><cbc:PriceAmount currencyID="EUR">50.00</cbc:PriceAmount></cac:Price></cac:InvoiceLine>
</Invoice>
"""
