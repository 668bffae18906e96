"""The parts of an ordinary FatturaPA body. Everything occurs 0 to n times, whatever a version of the schema says."""

from __future__ import annotations

from collections.abc import Iterator

from easytracking_sync.invoices.attachments import Written
from easytracking_sync.invoices.invoice import (
    Discount,
    Fund,
    Instalment,
    ItemCode,
    Line,
    Reference,
    Stamp,
    VatRow,
    Withholding,
)
from easytracking_sync.invoices.scalars import day_after, read_day, read_number
from easytracking_sync.invoices.taking import Taking

PAYERS_BANK = "MP12"
_DOCUMENTS = (
    "DatiOrdineAcquisto",
    "DatiContratto",
    "DatiConvenzione",
    "DatiRicezione",
    "DatiFattureCollegate",
)


def line(part: Taking) -> Line:
    """A DettaglioLinee."""
    return Line(
        number=part.said("NumeroLinea"),
        description=part.said("Descrizione"),
        kind=part.said("TipoCessionePrestazione"),
        codes=tuple(
            ItemCode(code.said("CodiceTipo"), code.said("CodiceValore")) for code in part.parts("CodiceArticolo")
        ),
        quantity=part.number("Quantita"),
        unit=part.said("UnitaMisura"),
        period_start=part.day("DataInizioPeriodo"),
        period_end=part.day("DataFinePeriodo"),
        price=part.number("PrezzoUnitario"),
        discounts=discounts(part),
        total=part.number("PrezzoTotale"),
        rate=part.number("AliquotaIVA"),
        nature=part.said("Natura"),
        more=part.rest(),
    )


def discounts(part: Taking) -> tuple[Discount, ...]:
    """Every ScontoMaggiorazione, in order."""
    return tuple(
        Discount(
            charge=one.said("Tipo").upper() == "MG",
            percent=one.number("Percentuale"),
            amount=one.number("Importo"),
            more=one.rest(),
        )
        for one in part.parts("ScontoMaggiorazione")
    )


def vat_row(part: Taking) -> VatRow:
    """A DatiRiepilogo."""
    return VatRow(
        rate=part.number("AliquotaIVA"),
        nature=part.said("Natura"),
        taxable=part.number("ImponibileImporto"),
        tax=part.number("Imposta"),
        due=part.said("EsigibilitaIVA"),
        expenses=part.number("SpeseAccessorie"),
        rounding=part.number("Arrotondamento"),
        reference=part.said("RiferimentoNormativo"),
        more=part.rest(),
    )


def withholding(part: Taking) -> Withholding:
    """A DatiRitenuta."""
    return Withholding(
        kind=part.said("TipoRitenuta"),
        amount=part.number("ImportoRitenuta"),
        rate=part.number("AliquotaRitenuta"),
        reason=part.said("CausalePagamento"),
    )


def stamp(part: Taking | None) -> Stamp | None:
    """A DatiBollo; its amount may be missing, and is not 2.00 then."""
    if part is None:
        return None
    return Stamp(part.said("BolloVirtuale"), part.number("ImportoBollo"))


def fund(part: Taking) -> Fund:
    """A DatiCassaPrevidenziale."""
    return Fund(
        kind=part.said("TipoCassa"),
        rate=part.number("AlCassa"),
        amount=part.number("ImportoContributoCassa"),
        taxable=part.number("ImponibileCassa"),
        vat_rate=part.number("AliquotaIVA"),
        withheld=part.said("Ritenuta"),
        nature=part.said("Natura"),
        reference=part.said("RiferimentoAmministrazione"),
    )


def references(general: Taking) -> Iterator[Reference]:
    """Orders, contracts, receipts, linked invoices, delivery notes, the main invoice, progress stages."""
    for kind in _DOCUMENTS:
        for part in general.parts(kind):
            yield Reference(
                kind=kind,
                number=part.said("IdDocumento"),
                day=part.day("Data"),
                lines=part.every("RiferimentoNumeroLinea"),
                cig=part.said("CodiceCIG"),
                cup=part.said("CodiceCUP"),
                more=part.rest(),
            )
    for part in general.parts("DatiSAL"):
        for stage in part.every("RiferimentoFase"):
            yield Reference("DatiSAL", stage)
    for part in general.parts("DatiDDT"):
        lines = part.every("RiferimentoNumeroLinea")
        yield Reference("DatiDDT", part.said("NumeroDDT"), part.day("DataDDT"), lines, more=part.rest())
    for part in general.parts("FatturaPrincipale"):
        number, day = part.said("NumeroFatturaPrincipale"), part.day("DataFatturaPrincipale")
        yield Reference("FatturaPrincipale", number, day, more=part.rest())


def instalments(payment: Taking) -> Iterator[Instalment]:
    """Every DettaglioPagamento of a DatiPagamento."""
    terms = payment.said("CondizioniPagamento")
    for part in payment.parts("DettaglioPagamento"):
        due = part.day("DataScadenzaPagamento")
        if due is None:  # computed only from what the file itself says, which stays shown among the rest
            start = read_day(part.node.said("DataRiferimentoTerminiPagamento"))
            due = day_after(start, read_number(part.node.said("GiorniTerminiPagamento")))
        method = part.said("ModalitaPagamento")
        yield Instalment(
            method=method,
            due=due,
            amount=part.number("ImportoPagamento"),
            iban=part.said("IBAN"),
            bank=part.name("IstitutoFinanziario"),
            payee=part.name("Beneficiario"),
            terms=terms,
            payers_bank=method == PAYERS_BANK,
            more=part.rest(),
        )


def attachment(part: Taking) -> Written:
    """An Allegati, still base64."""
    written = Written(
        name=part.name("NomeAttachment"),
        text=part.said("Attachment"),
        description=part.said("DescrizioneAttachment"),
        stated_format=part.said("FormatoAttachment"),
        compression=part.said("AlgoritmoCompressione"),
    )
    part.take_all()
    return written
