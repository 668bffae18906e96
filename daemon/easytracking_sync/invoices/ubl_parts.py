"""The parts of a UBL 2.1 invoice or credit note (EN 16931, CIUS-RO), by local names."""

from __future__ import annotations

from collections.abc import Iterator

from easytracking_sync.invoices.attachments import Written
from easytracking_sync.invoices.invoice import (
    Address,
    Discount,
    Field,
    Instalment,
    ItemCode,
    Line,
    Party,
    Reference,
    TaxId,
    VatRow,
)
from easytracking_sync.invoices.scalars import Day
from easytracking_sync.invoices.taking import Taking

VAT = "VAT"
_REFERENCES = (
    ("OrderReference", ""),
    ("ContractDocumentReference", ""),
    ("DespatchDocumentReference", ""),
    ("ReceiptDocumentReference", ""),
    ("OriginatorDocumentReference", ""),
    ("ProjectReference", ""),
    ("BillingReference", "InvoiceDocumentReference"),
    ("BillingReference", "CreditNoteDocumentReference"),
)
_CODES = ("SellersItemIdentification", "BuyersItemIdentification", "StandardItemIdentification")


def party(part: Taking | None) -> Party:
    """A party. A Romanian seller who pays no VAT has another scheme, and so no VAT number."""
    if part is None:
        return Party()
    vat, others = _tax_ids(part)
    return Party(
        name=part.name("PartyLegalEntity/RegistrationName", "PartyName/Name"),
        vat=vat,
        other_ids=(
            *others,
            *(Field("PartyLegalEntity/CompanyID", text) for text in part.every("PartyLegalEntity/CompanyID")),
            *(Field("PartyIdentification/ID", text) for text in part.every("PartyIdentification/ID")),
        ),
        address=_address(part.part("PostalAddress")),
        more=part.rest(),
    )


def _tax_ids(part: Taking) -> tuple[TaxId | None, tuple[Field, ...]]:
    vat, others = None, []
    for scheme in part.parts("PartyTaxScheme"):
        name, number = scheme.said("TaxScheme/ID"), scheme.said("CompanyID")
        if name.upper() == VAT and number and vat is None:
            country = number[:2].upper() if number[:2].isalpha() else ""
            vat = TaxId(country, number[len(country) :])
        elif number:
            others.append(Field(f"PartyTaxScheme/{name}" if name else "PartyTaxScheme", number))
    return vat, tuple(others)


def _address(part: Taking | None) -> Address | None:
    if part is None:
        return None
    return Address(
        street=part.name("StreetName"),
        more=part.name("AdditionalStreetName"),
        postcode=part.said("PostalZone"),
        city=part.name("CityName"),
        province=part.said("CountrySubentity"),
        country=part.said("Country/IdentificationCode"),
    )


def discounts(part: Taking) -> tuple[Discount, ...]:
    """Every AllowanceCharge; a ChargeIndicator of true makes it a charge."""
    return tuple(
        Discount(
            charge=one.said("ChargeIndicator").lower() in {"true", "1"},
            percent=one.number("MultiplierFactorNumeric"),
            amount=one.number("Amount"),
            reason=one.said("AllowanceChargeReason"),
            more=one.rest(),
        )
        for one in part.parts("AllowanceCharge")
    )


def line(part: Taking, quantity: str) -> Line:
    """An InvoiceLine or a CreditNoteLine; `quantity` is the name of its quantity."""
    amount = part.part(quantity)
    part.said("Item/ClassifiedTaxCategory/TaxScheme/ID")  # VAT, as above
    name, description = part.said("Item/Name"), part.said("Item/Description")
    return Line(
        number=part.said("ID"),
        description="\n".join(dict.fromkeys(text for text in (name, description, *part.every("Note")) if text)),
        codes=tuple(ItemCode(kind, code) for kind in _CODES for code in part.every(f"Item/{kind}/ID")),
        quantity=part.number(quantity),
        unit=amount.attribute("unitCode") if amount else "",
        period_start=part.day("InvoicePeriod/StartDate"),
        period_end=part.day("InvoicePeriod/EndDate"),
        price=part.number("Price/PriceAmount"),
        price_for=part.number("Price/BaseQuantity"),
        discounts=discounts(part),
        total=part.number("LineExtensionAmount"),
        rate=part.number("Item/ClassifiedTaxCategory/Percent"),
        nature=part.said("Item/ClassifiedTaxCategory/ID"),
        more=part.rest(),
    )


def vat_row(part: Taking) -> VatRow:
    """A TaxSubtotal."""
    part.said("TaxCategory/TaxScheme/ID")  # VAT, which the table's heading says
    return VatRow(
        rate=part.number("TaxCategory/Percent"),
        nature=part.said("TaxCategory/ID"),
        taxable=part.number("TaxableAmount"),
        tax=part.number("TaxAmount"),
        reference=part.said("TaxCategory/TaxExemptionReason", "TaxCategory/TaxExemptionReasonCode"),
        more=part.rest(),
    )


def references(root: Taking) -> Iterator[Reference]:
    """Orders, contracts, despatch and receipt advice, projects, earlier invoices."""
    for outer, inner in _REFERENCES:
        for part in root.parts(f"{outer}/{inner}" if inner else outer):
            yield Reference(inner or outer, part.said("ID"), part.day("IssueDate"), more=part.rest())


def instalments(root: Taking, due: Day | None) -> Iterator[Instalment]:
    """Every PaymentMeans; two accounts, one for each currency, are usual, so amounts are not given here."""
    terms = "\n".join(root.every("PaymentTerms/Note"))
    for part in root.parts("PaymentMeans"):
        account = part.part("PayeeFinancialAccount") or part
        yield Instalment(
            method=part.said("PaymentMeansCode"),
            due=part.day("PaymentDueDate") or due,
            iban=account.said("ID") if account is not part else "",
            bank=account.name("FinancialInstitutionBranch/ID") if account is not part else "",
            payee=account.name("Name") if account is not part else "",
            terms=terms,
            more=part.rest(),
        )


def attachments(root: Taking) -> Iterator[Written]:
    """Embedded files, and addresses, which are shown and never fetched."""
    for part in root.parts("AdditionalDocumentReference"):
        embedded = part.part("Attachment/EmbeddedDocumentBinaryObject")
        link = part.said("Attachment/ExternalReference/URI")
        if embedded is None and not link:
            continue  # a mere reference: it is shown among the rest
        yield Written(
            name=(embedded.attribute("filename") if embedded else "") or part.said("ID"),
            text=part.said("Attachment/EmbeddedDocumentBinaryObject"),
            description=part.said("DocumentDescription"),
            stated_format=embedded.attribute("mimeCode") if embedded else "",
            link=link,
        )
