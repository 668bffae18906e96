"""FatturaPA, ordinary 1.0 to 1.2.3 and simplified FSM10: a tree becomes invoices, one for each body.

Paths are those of Agenzia delle Entrate's schemas, by local names: namespaces and prefixes occur in every spelling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from easytracking_sync.invoices import fatturapa_body as body_of
from easytracking_sync.invoices import sums
from easytracking_sync.invoices.attachments import decoded
from easytracking_sync.invoices.fatturapa_parties import (
    ordinary_party,
    other_parties,
    simplified_buyer,
    simplified_seller,
)
from easytracking_sync.invoices.invoice import (
    Attachment,
    Format,
    Instalment,
    Invoice,
    Line,
    Reference,
    Stamp,
    Totals,
    VatRow,
)
from easytracking_sync.invoices.limits import MOST_BODIES
from easytracking_sync.invoices.remarks import Flag, Remark
from easytracking_sync.invoices.scalars import Number, computed, product, share, sum_of
from easytracking_sync.invoices.sums import HUNDRED
from easytracking_sync.invoices.taking import Taking
from easytracking_sync.invoices.tree import Node

ROOTS = {
    "FatturaElettronica": Format.ORDINARY,
    "FatturaElettronicaSemplificata": Format.SIMPLIFIED,
}
HEADER, BODY = "FatturaElettronicaHeader", "FatturaElettronicaBody"
CREDIT_NOTES = frozenset({"TD04", "TD08"})


def read_fatturapa(root: Node) -> tuple[Invoice, ...]:
    """Every body with the header they share; a header alone makes one invoice with body 0; nothing makes none."""
    header = root.first(HEADER)
    bodies = root.all(BODY)
    if header is None and not bodies:
        return ()
    shared = _shared(ROOTS[root.name], root, header or Node(HEADER), len(bodies))
    if not bodies:
        return (_checked(shared),)
    return tuple(_with_body(shared, body, number) for number, body in enumerate(bodies[:MOST_BODIES], start=1))


def _shared(kind: Format, root: Node, header: Node, bodies: int) -> Invoice:
    """What all bodies have in common, read once: an invoice that is still without a body."""
    top = Taking(header)
    others = other_parties(top)
    seller, buyer = top.part("CedentePrestatore"), top.part("CessionarioCommittente")
    simplified = kind is Format.SIMPLIFIED
    return Invoice(
        format=kind,
        version=root.attributes.get("versione", "").strip() or header.said("DatiTrasmissione/FormatoTrasmissione"),
        body=0,
        bodies=bodies,
        type_code="",
        number="",
        day=None,
        currency="",
        seller=simplified_seller(seller) if simplified else ordinary_party(seller),
        buyer=simplified_buyer(buyer) if simplified else ordinary_party(buyer),
        other_parties=others,
        transmission=top.rest(),
    )


def _with_body(shared: Invoice, body: Node, number: int) -> Invoice:
    content = Taking(body)
    fill = _simplified if shared.format is Format.SIMPLIFIED else _ordinary
    made = fill(replace(shared, body=number), content)
    return _checked(replace(made, more=content.rest(), credit_note=made.type_code in CREDIT_NOTES))


def _checked(invoice: Invoice) -> Invoice:
    return replace(invoice, remarks=(*invoice.remarks, *sums.remarks_on(invoice)))


def _ordinary(invoice: Invoice, body: Taking) -> Invoice:
    general = body.part("DatiGenerali") or Taking(Node("DatiGenerali"))
    document = general.part("DatiGeneraliDocumento") or Taking(Node("DatiGeneraliDocumento"))
    rows = tuple(body_of.vat_row(part) for part in body.parts("DatiBeniServizi/DatiRiepilogo"))
    withholdings = tuple(body_of.withholding(part) for part in document.parts("DatiRitenuta"))
    instalments = tuple(one for part in body.parts("DatiPagamento") for one in body_of.instalments(part))
    attachments, remarks = _attachments(body)
    totals = _totals(document, rows)
    return replace(
        _named(invoice, document),
        totals=replace(totals, payable=sums.payable(instalments, totals.total, withholdings, rows)),
        reasons=document.every("Causale"),
        lines=tuple(body_of.line(part) for part in body.parts("DatiBeniServizi/DettaglioLinee")),
        vat_rows=rows,
        withholdings=withholdings,
        stamp=body_of.stamp(document.part("DatiBollo")),
        funds=tuple(body_of.fund(part) for part in document.parts("DatiCassaPrevidenziale")),
        discounts=body_of.discounts(document),
        references=tuple(body_of.references(general)),
        instalments=instalments,
        attachments=attachments,
        remarks=remarks,
    )


def _simplified(invoice: Invoice, body: Taking) -> Invoice:
    document = body.part("DatiGenerali/DatiGeneraliDocumento") or Taking(Node("DatiGeneraliDocumento"))
    lines = tuple(_gross_line(part, number) for number, part in enumerate(body.parts("DatiBeniServizi"), start=1))
    rows = tuple(_derived_rows(lines))
    gross = sums.summed(line.total for line in lines)
    attachments, remarks = _attachments(body)
    instalments: tuple[Instalment, ...] = ()
    virtual = document.said("BolloVirtuale")
    return replace(
        _named(invoice, document),
        totals=Totals(
            taxable=sums.summed(row.taxable for row in rows),
            tax=sums.summed(row.tax for row in rows),
            computed=gross,
            payable=sums.payable(instalments, gross, (), ()),
        ),
        lines=lines,
        vat_rows=rows,
        stamp=Stamp(virtual, None) if virtual else None,
        references=tuple(_corrected(body)),
        attachments=attachments,
        remarks=(*remarks, *_net_for_gross(lines)),
    )


def _named(invoice: Invoice, document: Taking) -> Invoice:
    return replace(
        invoice,
        type_code=document.said("TipoDocumento"),
        number=document.said("Numero"),
        day=document.day("Data"),
        currency=document.said("Divisa"),
    )


def _totals(document: Taking, rows: Sequence[VatRow]) -> Totals:
    rounding = document.number("Arrotondamento")
    return Totals(
        stated=document.number("ImportoTotaleDocumento"),
        taxable=sums.summed(row.taxable for row in rows),
        tax=sums.summed(row.tax for row in rows),
        computed=sums.summed_total(rows, rounding),
        rounding=rounding,
    )


def _attachments(body: Taking) -> tuple[tuple[Attachment, ...], tuple[Remark, ...]]:
    found = [decoded(body_of.attachment(part)) for part in body.parts("Allegati")]
    return tuple(one for one, _ in found), tuple(remark for _, remarks in found for remark in remarks)


def _gross_line(part: Taking, number: int) -> Line:
    """A DatiBeniServizi of a simplified invoice: Importo has the VAT in it; a tax that is not stated is computed."""
    amount, rate = part.number("Importo"), part.number("DatiIVA/Aliquota")
    nature = part.said("Natura")
    return Line(
        number=str(number),
        description=part.said("Descrizione"),
        total=amount,
        rate=rate,
        tax=part.number("DatiIVA/Imposta") or _tax_within(amount, rate, nature),
        nature=nature,
        more=part.rest(),
    )


def _tax_within(amount: Number | None, rate: Number | None, nature: str) -> Number | None:
    if amount is None or amount.value is None:
        return None
    if rate is not None and rate.value is not None and rate.value >= 0:
        return computed(share(amount.value, rate.value, HUNDRED + rate.value))
    return computed(Decimal(0)) if nature and rate is None else None


def _derived_rows(lines: Sequence[Line]) -> Iterator[VatRow]:
    """The VAT summary that the simplified form lacks: by rate and nature, every amount marked computed."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((line.rate.text if line.rate else "", line.nature), []).append(line)
    for members in groups.values():
        gross, tax = sum_of(line.total for line in members), sum_of(line.tax for line in members)
        known = gross is not None and tax is not None
        yield VatRow(
            rate=members[0].rate,
            nature=members[0].nature,
            taxable=computed(gross - tax) if known and gross is not None and tax is not None else None,
            tax=None if tax is None else computed(tax),
        )


def _net_for_gross(lines: Sequence[Line]) -> Iterator[Remark]:
    """Where tax = amount x rate / 100 exactly, the issuer took the amount for one without VAT."""
    for line in lines:
        amount, tax, rate = line.total, line.tax, line.rate
        if (
            not (amount and tax and rate)
            or tax.computed
            or not tax.value
            or amount.value is None
            or rate.value is None
        ):
            continue
        if product(tax.value, HUNDRED) == product(amount.value, rate.value):
            yield Remark(Flag.NET_TAKEN_FOR_GROSS, line.number)


def _corrected(body: Taking) -> Iterator[Reference]:
    for part in body.parts("DatiGenerali/DatiFatturaRettificata"):
        yield Reference("DatiFatturaRettificata", part.said("NumeroFR"), part.day("DataFR"), more=part.rest())


def _value(number: Number | None) -> Decimal | None:
    return number.value if number else None
