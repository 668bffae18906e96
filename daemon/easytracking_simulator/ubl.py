"""Generates UBL 2.1 invoices and credit notes like those of CIUS-RO, for countryChannel 1 (section 13)."""

from __future__ import annotations

import random
from datetime import date
from xml.sax.saxutils import escape

from easytracking_simulator.documents import Document
from easytracking_simulator.fatturapa import money
from easytracking_simulator.parties import Party

SPACE = "urn:oasis:names:specification:ubl:schema:xsd:"
WARES = ("Servicii de transport", "Materiale de construcții", "Făină albă", "Chirie utilaje", "Mentenanță anuală")
RATE = 1900


def invoice(document: Document, rng: random.Random) -> bytes:
    """An invoice (type 380) or a credit note (381) in RON, with one VAT rate."""
    credit = document.document_type == "381"
    root = "CreditNote" if credit else "Invoice"
    rows, taxable = _lines(document, rng, credit=credit)
    tax = (taxable * RATE * 2 + 10_000) // 20_000
    day = document.date or date(2024, 1, 1)
    note = f"<cbc:Note>Revizia {document.revision}</cbc:Note>" if document.revision else ""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{root} xmlns="{SPACE}{root}-2" xmlns:cac="{SPACE}CommonAggregateComponents-2"'
        f' xmlns:cbc="{SPACE}CommonBasicComponents-2">\n'
        "<cbc:UBLVersionID>2.1</cbc:UBLVersionID>"
        "<cbc:CustomizationID>urn:cen.eu:en16931:2017#compliant#urn:efactura.mfinante.ro:CIUS-RO:1.0.1"
        "</cbc:CustomizationID>"
        f"<cbc:ID>{escape(document.number)}</cbc:ID><cbc:IssueDate>{day}</cbc:IssueDate>"
        f"<cbc:{root}TypeCode>{document.document_type}</cbc:{root}TypeCode>{note}"
        "<cbc:DocumentCurrencyCode>RON</cbc:DocumentCurrencyCode>\n"
        f"<cac:AccountingSupplierParty>{_party(document.sender)}</cac:AccountingSupplierParty>\n"
        f"<cac:AccountingCustomerParty>{_party(document.receiver)}</cac:AccountingCustomerParty>\n"
        f"{_totals(taxable, tax)}{''.join(rows)}</{root}>\n"
    )
    return text.encode()


def _party(party: Party) -> str:
    return (
        f"<cac:Party><cac:PartyName><cbc:Name>{escape(party.name)}</cbc:Name></cac:PartyName><cac:PostalAddress>"
        f"<cbc:StreetName>{escape(party.street)}</cbc:StreetName><cbc:CityName>{escape(party.town)}</cbc:CityName>"
        f"<cbc:PostalZone>{party.postcode}</cbc:PostalZone>"
        f"<cbc:CountrySubentity>{party.province}</cbc:CountrySubentity>"
        f"<cac:Country><cbc:IdentificationCode>{party.country}</cbc:IdentificationCode></cac:Country>"
        "</cac:PostalAddress>"
        f"<cac:PartyTaxScheme><cbc:CompanyID>{party.country}{party.piva}</cbc:CompanyID><cac:TaxScheme><cbc:ID>VAT"
        "</cbc:ID></cac:TaxScheme></cac:PartyTaxScheme>"
        f"<cac:PartyLegalEntity><cbc:RegistrationName>{escape(party.name)}</cbc:RegistrationName></cac:PartyLegalEntity>"
        "</cac:Party>"
    )


def _amount(name: str, cents: int) -> str:
    return f'<cbc:{name} currencyID="RON">{money(cents)}</cbc:{name}>'


def _totals(taxable: int, tax: int) -> str:
    percent = f"<cbc:ID>S</cbc:ID><cbc:Percent>{money(RATE)}</cbc:Percent>"
    scheme = f"{percent}<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"
    return (
        f"<cac:TaxTotal>{_amount('TaxAmount', tax)}<cac:TaxSubtotal>{_amount('TaxableAmount', taxable)}"
        f"{_amount('TaxAmount', tax)}<cac:TaxCategory>{scheme}</cac:TaxCategory></cac:TaxSubtotal></cac:TaxTotal>\n"
        f"<cac:LegalMonetaryTotal>{_amount('LineExtensionAmount', taxable)}{_amount('TaxExclusiveAmount', taxable)}"
        f"{_amount('TaxInclusiveAmount', taxable + tax)}{_amount('PayableAmount', taxable + tax)}"
        "</cac:LegalMonetaryTotal>\n"
    )


def _lines(document: Document, rng: random.Random, *, credit: bool) -> tuple[list[str], int]:
    what, counted = ("CreditNoteLine", "CreditedQuantity") if credit else ("InvoiceLine", "InvoicedQuantity")
    rows, sum_total = [], 0
    for number in range(1, document.lines + 1):
        pieces, price = rng.randrange(1, 40), rng.randrange(100, 90_000)
        sum_total += pieces * price
        rows.append(
            f"<cac:{what}><cbc:ID>{number}</cbc:ID>"
            f'<cbc:{counted} unitCode="H87">{pieces}</cbc:{counted}>{_amount("LineExtensionAmount", pieces * price)}'
            f"<cac:Item><cbc:Name>{rng.choice(WARES)}</cbc:Name><cac:ClassifiedTaxCategory><cbc:ID>S</cbc:ID>"
            f"<cbc:Percent>{money(RATE)}</cbc:Percent><cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>"
            f"</cac:ClassifiedTaxCategory></cac:Item><cac:Price>{_amount('PriceAmount', price)}</cac:Price>"
            f"</cac:{what}>\n"
        )
    return rows, sum_total
