"""Every real file gets a verdict, and what is read agrees with a second reading of the raw text.

The files are other people's and are never copied; without them these tests are skipped.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from tests.invoices.second_reading import inside, leaves, raw_text, value, values, without
from tests.invoices.written import CORPUS, MISSING

from easytracking_sync.invoices.invoice import Field, Format, Invoice, Party, TaxId
from easytracking_sync.invoices.reading import Reading, Verdict, read
from easytracking_sync.invoices.sums import signed_total
from easytracking_sync.invoices.unreadable import Reason

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=MISSING)

FOLDERS = ("fatturapa", "p7m", "ubl-ro", "metadata")


def files() -> list[Path]:
    if not CORPUS.is_dir():
        return []
    return [path for folder in FOLDERS for path in sorted((CORPUS / folder).iterdir()) if path.is_file()]


def invoices_of(*formats: Format) -> list[tuple[Path, Reading]]:
    found = [(path, read(path.read_bytes())) for path in files()]
    return [(path, reading) for path, reading in found if reading.invoices and reading.format in formats]


def amount(text: str) -> Decimal | None:
    return Decimal(text) if text else None


def test_every_file_gets_a_verdict_and_every_readable_invoice_is_read() -> None:
    verdicts = Counter((path.parent.name, read(path.read_bytes()).verdict) for path in files())
    assert verdicts == {
        ("fatturapa", Verdict.UNDERSTOOD): 124,
        ("fatturapa", Verdict.REPAIRED): 1,
        ("fatturapa", Verdict.NOT_UNDERSTOOD): 11,
        ("p7m", Verdict.UNDERSTOOD): 5,
        ("p7m", Verdict.NOT_UNDERSTOOD): 19,
        ("ubl-ro", Verdict.UNDERSTOOD): 26,
        ("ubl-ro", Verdict.NOT_AN_INVOICE): 8,
        ("ubl-ro", Verdict.NOT_UNDERSTOOD): 2,
        ("metadata", Verdict.NOT_AN_INVOICE): 43,
        ("metadata", Verdict.NOT_UNDERSTOOD): 8,
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fatturapa/simevo__billion_laughs.xml", Reason.DOCTYPE),
        ("fatturapa/simevo__small_jumbo.xml", Reason.DOCTYPE),
        ("fatturapa/oca-it__xml_import.zip", Reason.ARCHIVE),
        ("fatturapa/simevo__malformed.xml", Reason.HOLLOW),
        ("p7m/dss__cades-double-signing-certificate.p7m", Reason.DETACHED),
        ("p7m/dss__Signature-C-CZ_SIX-1.p7m", Reason.UNKNOWN_DOCUMENT),
        ("p7m/a38__test.txt.p7m", Reason.UNKNOWN_FORMAT),
    ],
)
def test_what_is_not_read_says_why(name: str, reason: Reason) -> None:
    found = read((CORPUS / name).read_bytes())
    assert (found.verdict, found.reason) == (Verdict.NOT_UNDERSTOOD, reason)


def test_type_number_date_and_currency_are_those_of_the_raw_text() -> None:
    for path, reading in invoices_of(Format.ORDINARY, Format.SIMPLIFIED):
        bodies = inside(raw_text(path), "FatturaElettronicaBody")
        assert len(bodies) == len(reading.invoices) == reading.invoices[0].bodies, path.name
        for body, invoice in zip(bodies, reading.invoices, strict=True):
            document = next(iter(inside(body, "DatiGeneraliDocumento")), "")
            for name, read_value in (
                ("TipoDocumento", invoice.type_code),
                ("Numero", invoice.number),
                ("Data", invoice.day.text if invoice.day else ""),
                ("Divisa", invoice.currency),
            ):
                assert value(without(document, "DatiBollo"), name) == read_value, (path.name, name)


def test_dates_are_the_days_their_first_ten_characters_say() -> None:
    for path, reading in invoices_of(*Format):
        for invoice in reading.invoices:
            if invoice.day and invoice.day.value:
                assert invoice.day.value.isoformat() == invoice.day.text[:10], path.name


def test_stated_totals_and_the_vat_summary_are_those_of_the_raw_text() -> None:
    for path, reading in invoices_of(Format.ORDINARY):
        for body, invoice in zip(inside(raw_text(path), "FatturaElettronicaBody"), reading.invoices, strict=True):
            stated = invoice.totals.stated
            assert value(body, "ImportoTotaleDocumento") == (stated.text if stated else ""), path.name
            rows = inside(body, "DatiRiepilogo")
            assert [(value(row, "ImponibileImporto"), value(row, "Imposta")) for row in rows] == [
                (row.taxable.text if row.taxable else "", row.tax.text if row.tax else "") for row in invoice.vat_rows
            ], path.name
            taxable = sum((Decimal(value(row, "ImponibileImporto")) for row in rows), Decimal(0))
            tax = sum((Decimal(value(row, "Imposta")) for row in rows), Decimal(0))
            extra = Decimal(value(without(body, "DatiBeniServizi"), "Arrotondamento") or 0)
            if rows:
                assert invoice.totals.computed is not None
                assert invoice.totals.computed.value == taxable + tax + extra, path.name


def test_lines_are_those_of_the_raw_text() -> None:
    for path, reading in invoices_of(Format.ORDINARY):
        for body, invoice in zip(inside(raw_text(path), "FatturaElettronicaBody"), reading.invoices, strict=True):
            raw = inside(body, "DettaglioLinee")
            assert len(raw) == len(invoice.lines), path.name
            for text, line in zip(raw, invoice.lines, strict=True):
                core = without(text, "ScontoMaggiorazione", "AltriDatiGestionali")
                for name, number in (
                    ("Quantita", line.quantity),
                    ("PrezzoUnitario", line.price),
                    ("PrezzoTotale", line.total),
                    ("AliquotaIVA", line.rate),
                ):
                    assert value(core, name) == (number.text if number else ""), (path.name, name)
                    assert (number.value if number else None) == amount(value(core, name))
                assert value(core, "Descrizione") == line.description, path.name
                assert len(inside(text, "ScontoMaggiorazione")) == len(line.discounts), path.name


def test_instalments_are_those_of_the_raw_text() -> None:
    for path, reading in invoices_of(Format.ORDINARY):
        for body, invoice in zip(inside(raw_text(path), "FatturaElettronicaBody"), reading.invoices, strict=True):
            raw = inside(body, "DettaglioPagamento")
            assert [
                (
                    value(text, "ModalitaPagamento"),
                    value(text, "DataScadenzaPagamento"),
                    value(text, "ImportoPagamento"),
                    value(text, "IBAN"),
                )
                for text in raw
            ] == [
                (
                    one.method,
                    one.due.text if one.due and not one.due.computed else "",
                    one.amount.text if one.amount else "",
                    one.iban,
                )
                for one in invoice.instalments
            ], path.name


def test_attachments_references_withholdings_and_funds_are_all_there() -> None:
    for path, reading in invoices_of(Format.ORDINARY, Format.SIMPLIFIED):
        for body, invoice in zip(inside(raw_text(path), "FatturaElettronicaBody"), reading.invoices, strict=True):
            assert len(inside(body, "Allegati")) == len(invoice.attachments), path.name
            assert len(inside(body, "DatiRitenuta")) == len(invoice.withholdings), path.name
            assert len(inside(body, "DatiCassaPrevidenziale")) == len(invoice.funds), path.name
            assert values(body, "Causale") == list(invoice.reasons), path.name
            cigs = [reference.cig for reference in invoice.references if reference.cig]
            assert values(body, "CodiceCIG") == cigs, path.name


def seller_and_buyer(text: str) -> tuple[str, str]:
    header = next(iter(inside(text, "FatturaElettronicaHeader")), "")
    seller = next(iter(inside(header, "CedentePrestatore")), "")
    buyer = next(iter(inside(header, "CessionarioCommittente")), "")
    return without(seller, "RappresentanteFiscale"), without(buyer, "RappresentanteFiscale")


def test_parties_are_those_of_the_raw_text() -> None:
    for path, reading in invoices_of(Format.ORDINARY, Format.SIMPLIFIED):
        for raw, party in zip(
            seller_and_buyer(raw_text(path)), (reading.invoices[0].seller, reading.invoices[0].buyer), strict=True
        ):
            assert value(raw, "IdPaese") == (party.vat.country if party.vat else ""), path.name
            assert value(raw, "IdCodice") == (party.vat.code if party.vat else ""), path.name
            assert value(raw, "CodiceFiscale") == party.fiscal_code, path.name
            company = " ".join(value(raw, "Denominazione").split())
            person = " ".join(f"{value(raw, 'Nome')} {value(raw, 'Cognome')}".split())
            assert party.name == (company or person), path.name
            address = party.address
            assert value(raw, "CAP") == (address.postcode if address else ""), path.name


def all_texts(invoice: Invoice) -> set[str]:
    """Every text of a value, however deep."""
    found: set[str] = set()
    waiting: list[object] = [invoice]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found.add(" ".join(one.split()))
        elif isinstance(one, (tuple, list)):
            waiting += one
        elif hasattr(one, "__dataclass_fields__"):
            found.add(str(one) if isinstance(one, TaxId) else "")
            waiting += [getattr(one, name) for name in one.__dataclass_fields__]
    return found


def test_no_text_of_an_invoice_is_lost() -> None:
    """What no table of paths asks for is kept as it is."""
    unasked = {"Tipo", "FormatoTrasmissione", "ChargeIndicator", "ID"}  # they became a value of another kind
    for path, reading in invoices_of(*Format):
        text = without(raw_text(path), "Signature", "Attachment", "EmbeddedDocumentBinaryObject")
        kept = set().union(*(all_texts(invoice) for invoice in reading.invoices))
        joined = "\n".join(kept)
        for name, leaf in leaves(text):
            if name not in unasked:
                assert " ".join(leaf.split()) in joined, (path.name, name)


def test_ubl_invoices_are_those_of_the_raw_text() -> None:
    for path, reading in invoices_of(Format.UBL_INVOICE, Format.UBL_CREDIT_NOTE):
        text, invoice = raw_text(path), reading.invoices[0]
        money = inside(text, "LegalMonetaryTotal")[0]
        lines = inside(text, "InvoiceLine") or inside(text, "CreditNoteLine")
        top = without(text, "InvoiceLine", "CreditNoteLine", "AccountingSupplierParty", "AccountingCustomerParty")
        assert invoice.number == value(top, "ID"), path.name
        assert invoice.day is not None
        assert invoice.day.text == value(text, "IssueDate"), path.name
        assert invoice.type_code == value(text, "InvoiceTypeCode") + value(text, "CreditNoteTypeCode"), path.name
        assert invoice.currency == value(text, "DocumentCurrencyCode"), path.name
        totals = invoice.totals
        assert totals.stated is not None
        assert totals.payable is not None
        assert totals.stated.text == value(money, "TaxInclusiveAmount"), path.name
        assert totals.payable.text == value(money, "PayableAmount"), path.name
        assert [value(line, "LineExtensionAmount") for line in lines] == [
            line.total.text if line.total else "" for line in invoice.lines
        ], path.name
        due = invoice.instalments[0].due if invoice.instalments else None
        assert (value(text, "DueDate") or value(text, "PaymentDueDate")) == (due.text if due else ""), path.name
        for side, party in (("AccountingSupplierParty", invoice.seller), ("AccountingCustomerParty", invoice.buyer)):
            assert_ubl_party(inside(text, side)[0], party, path.name)


def assert_ubl_party(raw: str, party: Party, name: str) -> None:
    assert party.name == " ".join((value(raw, "RegistrationName") or value(raw, "Name")).split()), name
    schemes = [(value(one, "ID"), value(one, "CompanyID")) for one in inside(raw, "PartyTaxScheme")]
    vat = [number for scheme, number in schemes if scheme == "VAT"]
    assert (str(party.vat) if party.vat else "") == (vat[0] if vat else ""), name
    for scheme, number in schemes:
        if scheme != "VAT" and number:
            assert Field(f"PartyTaxScheme/{scheme}" if scheme else "PartyTaxScheme", number) in party.other_ids, name


def test_a_second_tax_total_in_another_currency_is_not_added() -> None:
    seen = 0
    for path, reading in invoices_of(Format.UBL_INVOICE, Format.UBL_CREDIT_NOTE):
        text, totals = raw_text(path), reading.invoices[0].totals
        taxes = inside(without(text, "InvoiceLine"), "TaxTotal")
        assert totals.tax is not None
        assert totals.tax.text in {value(tax, "TaxAmount") for tax in taxes}, path.name
        if len(taxes) > 1:
            seen += 1
            assert totals.second_tax is not None
            assert totals.second_currency != reading.invoices[0].currency
    assert seen


def test_a_negative_invoice_stays_negative_and_a_credit_note_counts_negative() -> None:
    by_name = {path.name: reading.invoices[0] for path, reading in invoices_of(Format.ORDINARY)}
    negative = by_name["oca-it__IT02098391200_FPR16.xml"]
    assert negative.type_code == "TD01"
    assert (signed_total(negative) or 0) < 0
    credit = by_name["oca-it__IT01234567890_FPR06.xml"]
    assert credit.credit_note
    assert credit.totals.total is not None
    assert credit.totals.total.value is not None
    assert signed_total(credit) == -abs(credit.totals.total.value)


def test_reading_twice_gives_the_same() -> None:
    for path in files():
        data = path.read_bytes()
        first, second = read(data), read(data)
        assert (first.invoices, first.verdict, first.remarks) == (second.invoices, second.verdict, second.remarks)
