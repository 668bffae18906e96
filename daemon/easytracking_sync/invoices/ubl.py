"""UBL 2.1 Invoice and CreditNote (EN 16931, CIUS-RO): a tree becomes one invoice."""

from __future__ import annotations

from dataclasses import replace

from easytracking_sync.invoices import sums
from easytracking_sync.invoices import ubl_parts as part_of
from easytracking_sync.invoices.attachments import decoded
from easytracking_sync.invoices.invoice import (
    Format,
    Instalment,
    Invoice,
    OtherParty,
    Role,
    Totals,
    VatRow,
)
from easytracking_sync.invoices.scalars import Day, Number, computed, total
from easytracking_sync.invoices.taking import Taking
from easytracking_sync.invoices.tree import Node

ROOTS = {"Invoice": Format.UBL_INVOICE, "CreditNote": Format.UBL_CREDIT_NOTE}
CREDIT_TYPES = frozenset({"81", "83", "261", "262", "296", "308", "381", "396", "420", "458", "532"})
"""UNTDID 1001 as EN 16931 lists it. 389 is a self-billed invoice, 384 a corrected one: signs stay as written."""

_OTHERS = (
    ("PayeeParty", Role.PAYEE),
    ("TaxRepresentativeParty", Role.SELLER_REPRESENTATIVE),
)


def read_ubl(root: Node) -> tuple[Invoice, ...]:
    """The one invoice; none where the root is empty."""
    if not root.children:
        return ()
    kind = ROOTS[root.name]
    top = Taking(root)
    credit = kind is Format.UBL_CREDIT_NOTE
    type_code = top.said("CreditNoteTypeCode" if credit else "InvoiceTypeCode")
    currency = top.said("DocumentCurrencyCode")
    rows, totals = _tax(top, currency)
    attachments = [decoded(written) for written in part_of.attachments(top)]
    seller, buyer = top.part("AccountingSupplierParty/Party"), top.part("AccountingCustomerParty/Party")
    line, quantity = ("CreditNoteLine", "CreditedQuantity") if credit else ("InvoiceLine", "InvoicedQuantity")
    made = Invoice(
        format=kind,
        version=top.said("CustomizationID"),
        body=1,
        bodies=1,
        type_code=type_code,
        number=top.said("ID"),
        day=top.day("IssueDate"),
        currency=currency,
        seller=part_of.party(seller),
        buyer=part_of.party(buyer),
        other_parties=tuple(
            OtherParty(role, part_of.party(part)) for path, role in _OTHERS for part in top.parts(path)
        ),
        totals=totals,
        reasons=top.every("Note"),
        lines=tuple(part_of.line(part, quantity) for part in top.parts(line)),
        vat_rows=rows,
        discounts=part_of.discounts(top),
        references=tuple(part_of.references(top)),
        instalments=_instalments(top, totals.payable),
        attachments=tuple(one for one, _ in attachments),
        credit_note=credit or type_code in CREDIT_TYPES,
        remarks=tuple(remark for _, remarks in attachments for remark in remarks),
    )
    made = replace(made, more=top.rest())
    return (replace(made, remarks=(*made.remarks, *sums.remarks_on(made))),)


def _tax(top: Taking, currency: str) -> tuple[tuple[VatRow, ...], Totals]:
    """The tax in the document's currency; a second TaxTotal is the same tax in another one, and is not added."""
    main: Taking | None = None
    second: Taking | None = None
    for part in top.parts("TaxTotal"):
        amount = part.part("TaxAmount")
        stated = amount.attribute("currencyID") if amount else ""
        if main is None and stated in {currency, ""}:
            main = part
        elif second is None:
            second = part
    main = main or Taking(Node("TaxTotal"))
    money = top.part("LegalMonetaryTotal") or Taking(Node("LegalMonetaryTotal"))
    rows = tuple(part_of.vat_row(part) for part in main.parts("TaxSubtotal"))
    taxable, tax = money.number("TaxExclusiveAmount"), main.number("TaxAmount")
    totals = Totals(
        stated=money.number("TaxInclusiveAmount"),
        taxable=taxable,
        tax=tax,
        computed=_added(taxable, tax),
        rounding=money.number("PayableRoundingAmount"),
        payable=money.number("PayableAmount"),
        prepaid=money.number("PrepaidAmount"),
        second_tax=second.number("TaxAmount") if second else None,
        second_currency=_currency(second),
    )
    return rows, totals


def _added(taxable: Number | None, tax: Number | None) -> Number | None:
    if taxable is None or tax is None or taxable.value is None or tax.value is None:
        return None
    return computed(total((taxable.value, tax.value)))


def _currency(part: Taking | None) -> str:
    amount = part.part("TaxAmount") if part else None
    return amount.attribute("currencyID") if amount else ""


def _instalments(top: Taking, payable: Number | None) -> tuple[Instalment, ...]:
    """Ways to pay the one amount that is due; the amount is given where there is one way only."""
    due: Day | None = top.day("DueDate")
    found = tuple(part_of.instalments(top, due))
    if not found and (due or payable):
        found = (Instalment(method="", due=due, terms="\n".join(top.every("PaymentTerms/Note"))),)
    return (replace(found[0], amount=payable), *found[1:]) if found else ()
