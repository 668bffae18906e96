"""Generates FatturaPA 1.2 invoices (FPR12) that are valid by the Agenzia's schema, with correct sums."""

from __future__ import annotations

import base64
import random
from datetime import date, timedelta
from typing import NamedTuple
from xml.sax.saxutils import escape

from easytracking_simulator.documents import Document
from easytracking_simulator.parties import Party, iban

NAMESPACE = "http://ivaservizi.agenziaentrate.gov.it/docs/xsd/fatture/v1.2"
PLATFORM = "07031780484"  # the platform's own number, as in the document's section 12
GOODS = ("Consulenza tecnica", "Bulloni M8 x 40", "Trasporto e consegna", "Canone di assistenza", "Olio extravergine",
         "Carta A4 80 g/m²", "Lavorazione conto terzi", "Noleggio attrezzature", "Energia elettrica quota fissa",
         "Farina tipo «00»", "Manutenzione ordinaria", "Materiale di consumo & ricambi", "Tubo Ø 25 mm")  # fmt: skip
WARES = tuple(escape(text) for text in GOODS)
UNITS = ("PZ", "KG", "H", "NR", "MT", "CF")
RATES = (2200, 2200, 2200, 1000, 400, 0)

Summary = dict[int, tuple[int, int]]  # by rate: taxable and tax


class Line(NamedTuple):
    """One line of an invoice, in cents and hundredths."""

    number: int
    text: str
    unit: str
    quantity: int
    price: int
    total: int
    rate: int


def money(hundredths: int) -> str:
    if hundredths < 0:
        return f"-{money(-hundredths)}"
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def invoice(document: Document, rng: random.Random, *, by_intermediary: bool = False) -> bytes:
    """The invoice's XML. `by_intermediary`: issued by a third party in the sender's name."""
    lines = _lines(document, rng)
    summary = _summary(lines)
    opening = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<p:FatturaElettronica versione="FPR12" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:p="{NAMESPACE}"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
    )
    parts = [
        opening,
        _header(document, by_intermediary=by_intermediary),
        "<FatturaElettronicaBody>\n",
        _general(document, rng, summary),
        _goods(document, lines, summary),
        _payment(document, rng, _total(summary)),
        _attachment(document, rng),
        "</FatturaElettronicaBody>\n</p:FatturaElettronica>\n",
    ]
    return "".join(parts).encode()


def _lines(document: Document, rng: random.Random) -> list[Line]:
    sign = -1 if document.document_type == "TD04" and rng.random() < 0.3 else 1
    chance = rng.random
    lines = []
    for number in range(1, document.lines + 1):
        quantity, price = 100 + int(chance() * 3900), (50 + int(chance() * 90_000)) * sign
        total = (quantity * price * 2 + 100) // 200
        text = f"{WARES[int(chance() * len(WARES))]} - rif. {10_000 + int(chance() * 90_000)}"
        unit, rate = UNITS[price % len(UNITS)], RATES[int(chance() * len(RATES))]
        lines.append(Line(number, text, unit, quantity, price, total, rate))
    return lines


def _total(summary: Summary) -> int:
    return sum(taxable + tax for taxable, tax in summary.values())


def _summary(lines: list[Line]) -> Summary:
    taxable: dict[int, int] = {}
    for line in lines:
        taxable[line.rate] = taxable.get(line.rate, 0) + line.total
    return {rate: (amount, (amount * rate * 2 + 10_000) // 20_000) for rate, amount in taxable.items()}


def _name(party: Party) -> str:
    if party.name:
        return f"<Anagrafica><Denominazione>{escape(party.name)}</Denominazione></Anagrafica>"
    return f"<Anagrafica><Nome>{escape(party.given)}</Nome><Cognome>{escape(party.surname)}</Cognome></Anagrafica>"


def _party(party: Party) -> str:
    number = (
        f"<IdFiscaleIVA><IdPaese>{party.country}</IdPaese><IdCodice>{party.piva}</IdCodice></IdFiscaleIVA>"
        if party.piva
        else ""
    )
    cf = f"<CodiceFiscale>{party.cf}</CodiceFiscale>" if party.cf else ""
    return f"{number}{cf}{_name(party)}"


def _seat(party: Party) -> str:
    return (
        f"<Sede><Indirizzo>{escape(party.street)}</Indirizzo><NumeroCivico>12</NumeroCivico><CAP>{party.postcode}</CAP>"
        f"<Comune>{escape(party.town)}</Comune><Provincia>{party.province}</Provincia>"
        f"<Nazione>{party.country}</Nazione></Sede>"
    )


def _header(document: Document, *, by_intermediary: bool) -> str:
    sender, receiver = document.sender, document.receiver
    regime = "RF01" if sender.name else "RF19"
    third = (
        "<TerzoIntermediarioOSoggettoEmittente><DatiAnagrafici><IdFiscaleIVA><IdPaese>IT</IdPaese>"
        f"<IdCodice>{PLATFORM}</IdCodice></IdFiscaleIVA><Anagrafica><Denominazione>Intermediario S.p.A."
        "</Denominazione></Anagrafica></DatiAnagrafici></TerzoIntermediarioOSoggettoEmittente>\n"
        "<SoggettoEmittente>TZ</SoggettoEmittente>\n"
        if by_intermediary
        else ""
    )
    return (
        "<FatturaElettronicaHeader>\n<DatiTrasmissione><IdTrasmittente><IdPaese>IT</IdPaese>"
        f"<IdCodice>{sender.piva}</IdCodice></IdTrasmittente>"
        f"<ProgressivoInvio>{document.id % 10**10}</ProgressivoInvio>"
        "<FormatoTrasmissione>FPR12</FormatoTrasmissione><CodiceDestinatario>M5UXCR1</CodiceDestinatario>"
        "</DatiTrasmissione>\n"
        f"<CedentePrestatore><DatiAnagrafici>{_party(sender)}<RegimeFiscale>{regime}</RegimeFiscale></DatiAnagrafici>"
        f"{_seat(sender)}</CedentePrestatore>\n"
        f"<CessionarioCommittente><DatiAnagrafici>{_party(receiver)}</DatiAnagrafici>{_seat(receiver)}"
        f"</CessionarioCommittente>\n{third}</FatturaElettronicaHeader>\n"
    )


def _general(document: Document, rng: random.Random, summary: Summary) -> str:
    total, day = _total(summary), _day(document)
    withheld = ""
    if document.document_type == "TD06":
        taxable = sum(amount for amount, _ in summary.values())
        withheld = (
            f"<DatiRitenuta><TipoRitenuta>RT01</TipoRitenuta><ImportoRitenuta>{money(taxable // 5)}</ImportoRitenuta>"
            "<AliquotaRitenuta>20.00</AliquotaRitenuta><CausalePagamento>A</CausalePagamento></DatiRitenuta>"
        )
    revised = f"<Causale>Revisione {document.revision}</Causale>" if document.revision else ""
    delivered = ""
    if document.document_type == "TD24":
        delivered = "".join(
            f"<DatiDDT><NumeroDDT>{rng.randrange(1, 9999)}</NumeroDDT>"
            f"<DataDDT>{day - timedelta(days=back)}</DataDDT></DatiDDT>"
            for back in range(1, rng.randrange(2, 6))
        )
    return (
        f"<DatiGenerali><DatiGeneraliDocumento><TipoDocumento>{document.document_type}</TipoDocumento>"
        f"<Divisa>EUR</Divisa><Data>{day}</Data><Numero>{escape(document.number)}</Numero>{withheld}"
        f"<ImportoTotaleDocumento>{money(total)}</ImportoTotaleDocumento>"
        f"<Causale>Rif. interno {document.id}: merce resa, qualità già verificata</Causale>{revised}"
        f"</DatiGeneraliDocumento>{delivered}</DatiGenerali>\n"
    )


def _day(document: Document) -> date:
    return document.date or date(2024, 1, 1)


def _goods(document: Document, lines: list[Line], summary: Summary) -> str:
    withheld = "<Ritenuta>SI</Ritenuta>" if document.document_type == "TD06" else ""
    rows = [
        f"<DettaglioLinee><NumeroLinea>{line.number}</NumeroLinea><CodiceArticolo><CodiceTipo>INT</CodiceTipo>"
        f"<CodiceValore>A{line.price % 9973:05d}</CodiceValore></CodiceArticolo>"
        f"<Descrizione>{line.text}</Descrizione>"
        f"<Quantita>{money(line.quantity)}</Quantita><UnitaMisura>{line.unit}</UnitaMisura>"
        f"<PrezzoUnitario>{money(line.price)}</PrezzoUnitario><PrezzoTotale>{money(line.total)}</PrezzoTotale>"
        f"<AliquotaIVA>{money(line.rate)}</AliquotaIVA>{withheld}{'' if line.rate else '<Natura>N4</Natura>'}"
        "</DettaglioLinee>\n"
        for line in lines
    ]
    for rate, (taxable, tax) in sorted(summary.items(), reverse=True):
        how = "<EsigibilitaIVA>I</EsigibilitaIVA>" if rate else ""
        why = "" if rate else "<RiferimentoNormativo>Esente art. 10 DPR 633/72</RiferimentoNormativo>"
        rows.append(
            f"<DatiRiepilogo><AliquotaIVA>{money(rate)}</AliquotaIVA>{'' if rate else '<Natura>N4</Natura>'}"
            f"<ImponibileImporto>{money(taxable)}</ImponibileImporto><Imposta>{money(tax)}</Imposta>{how}{why}"
            "</DatiRiepilogo>\n"
        )
    return f"<DatiBeniServizi>\n{''.join(rows)}</DatiBeniServizi>\n"


def _payment(document: Document, rng: random.Random, total: int) -> str:
    due = _day(document) + timedelta(days=rng.choice((0, 30, 60, 90)))
    return (
        "<DatiPagamento><CondizioniPagamento>TP02</CondizioniPagamento><DettaglioPagamento>"
        f"<ModalitaPagamento>MP05</ModalitaPagamento><DataScadenzaPagamento>{due}</DataScadenzaPagamento>"
        f"<ImportoPagamento>{money(total)}</ImportoPagamento><IBAN>{iban(rng)}</IBAN></DettaglioPagamento>"
        "</DatiPagamento>\n"
    )


def _attachment(document: Document, rng: random.Random) -> str:
    if not document.attachment:
        return ""
    pdf = b"%PDF-1.4\n" + rng.randbytes(document.attachment) + b"\n%%EOF\n"
    return (
        "<Allegati><NomeAttachment>copia di cortesia.pdf</NomeAttachment><FormatoAttachment>PDF</FormatoAttachment>"
        f"<Attachment>{base64.b64encode(pdf).decode()}</Attachment></Allegati>\n"
    )
