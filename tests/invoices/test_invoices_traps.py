"""What trips other readers, one test each: values stay as written, nothing is invented, nothing is an error."""

from __future__ import annotations

import base64
from datetime import date
from decimal import Decimal

import pytest
from tests.invoices.written import SIMPLIFIED, UBL, changed

from easytracking_sync.invoices.invoice import Invoice, TaxId
from easytracking_sync.invoices.reading import Verdict, read
from easytracking_sync.invoices.remarks import Flag
from easytracking_sync.invoices.sums import hundredths, next_due, signed_total, valid_iban

DUE = "<DataScadenzaPagamento>2026-12-02</DataScadenzaPagamento>"
TYPE = "<TipoDocumento>TD01</TipoDocumento>"
STATED = "<ImportoTotaleDocumento>122.00</ImportoTotaleDocumento>"
BODY_END = " </FatturaElettronicaBody>"
QUANTITY = "<Quantita>2.00</Quantita>"
PAYMENT_START, PAYMENT_END = "<DatiPagamento>", "</DatiPagamento>"


def only(data: bytes) -> Invoice:
    found = read(data)
    assert found.verdict is Verdict.UNDERSTOOD, found.reason
    assert len(found.invoices) == 1
    return found.invoices[0]


def flags(invoice: Invoice) -> dict[Flag, str]:
    return {remark.flag: remark.detail for remark in invoice.remarks}


def test_an_ordinary_invoice_is_read_without_a_remark() -> None:
    invoice = only(changed())
    assert invoice.remarks == ()
    assert (invoice.seller.name, invoice.buyer.name) == ("Perché & Figli Srl", "Mario Rossi")
    assert invoice.day is not None
    assert invoice.day.value == date(2026, 11, 2)
    assert (invoice.body, invoice.bodies, invoice.more) == (1, 1, ())


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2015-06-03+02:00", date(2015, 6, 3)),
        (" 2015-06-03 ", date(2015, 6, 3)),
        ("2015-06-03T23:59:59.000-11:00", date(2015, 6, 3)),
        ("2017-02-30", None),
        ("03/06/2015", None),
    ],
)
def test_a_date_is_its_first_ten_characters_and_stays_visible_where_it_is_none(text: str, day: date | None) -> None:
    invoice = only(changed(("<Data>2026-11-02</Data>", f"<Data>{text}</Data>")))
    assert invoice.day is not None
    assert (invoice.day.value, invoice.day.text) == (day, text.strip())
    assert (Flag.NOT_A_DATE in flags(invoice)) == (day is None)


def test_a_year_that_no_invoice_has_is_remarked_on() -> None:
    invoice = only(changed(("<Data>2026-11-02</Data>", "<Data>0001-01-01T00:00:00.000+02:00</Data>")))
    assert invoice.day is not None
    assert invoice.day.value == date(1, 1, 1)
    assert Flag.ODD_YEAR in flags(invoice)


def test_codes_are_trimmed_and_white_space_within_names_collapses() -> None:
    invoice = only(
        changed(("01234567897", "01234567897         "), ("Perché &amp; Figli Srl", "Perché &amp;\n   Figli Srl"))
    )
    assert invoice.seller.vat == TaxId("IT", "01234567897")
    assert invoice.seller.name == "Perché & Figli Srl"


@pytest.mark.parametrize(
    ("country", "code", "search"),
    [
        ("GB", "GB999999973", "999999973"),
        ("GB", "999999973", "GB999999973"),
        ("CH", "CHE-114.993.395 IVA", "CHE114993395IVA"),
        ("IT", "0000000", "0000000"),
        ("OO", "99999999999", "99999999999"),
        ("IT", "01234567890", "01234567890"),
    ],
)
def test_tax_numbers_stay_as_written_and_have_a_form_for_searching(country: str, code: str, search: str) -> None:
    """A doubled country, points, placeholders for foreigners and wrong check digits are all lawful somewhere."""
    invoice = only(changed(("<IdPaese>IT</IdPaese>", f"<IdPaese>{country}</IdPaese>"), ("01234567897", code)))
    assert invoice.seller.vat == TaxId(country, code)
    assert search in invoice.seller.vat.search_forms


def test_a_missing_quantity_counts_as_one_and_stays_missing() -> None:
    invoice = only(changed((QUANTITY, ""), ("50.00000000", "100.00")))
    assert invoice.lines[0].quantity is None
    assert Flag.LINES_DIFFER not in flags(invoice)


def test_a_line_that_does_not_add_up_is_remarked_on_beyond_a_cent() -> None:
    assert Flag.LINES_DIFFER not in flags(only(changed(("50.00000000", "50.005"))))
    assert flags(only(changed(("50.00000000", "50.006"))))[Flag.LINES_DIFFER] == "1"


def test_discounts_change_the_price_in_order() -> None:
    discounts = (
        "<ScontoMaggiorazione><Tipo>SC</Tipo><Percentuale>10.00</Percentuale></ScontoMaggiorazione>"
        "<ScontoMaggiorazione><Tipo>MG</Tipo><Importo>5.00</Importo></ScontoMaggiorazione>"
        "<PrezzoTotale>100.00"
    )
    invoice = only(changed(("<PrezzoTotale>100.00", discounts)))
    assert Flag.LINES_DIFFER not in flags(invoice)
    assert [one.charge for one in invoice.lines[0].discounts] == [False, True]


def test_eight_decimals_are_kept() -> None:
    invoice = only(changed(("50.00000000", "49.99999999")))
    assert invoice.lines[0].price is not None
    assert invoice.lines[0].price.value == Decimal("49.99999999")


def test_a_text_that_is_no_number_stays_text() -> None:
    invoice = only(changed((STATED, "<ImportoTotaleDocumento>122,00</ImportoTotaleDocumento>")))
    assert invoice.totals.stated is not None
    assert (invoice.totals.stated.value, invoice.totals.stated.text) == (None, "122,00")
    assert flags(invoice)[Flag.NOT_A_NUMBER] == "122,00"


@pytest.mark.parametrize("text", ["1e9", "NaN", "Infinity", "0x10", "1_000", "٣", "1" * 41])
def test_numbers_of_other_notations_are_no_numbers(text: str) -> None:
    invoice = only(changed((STATED, f"<ImportoTotaleDocumento>{text}</ImportoTotaleDocumento>")))
    assert invoice.totals.stated is not None
    assert invoice.totals.stated.value is None


def test_a_total_that_is_not_stated_is_computed_and_marked() -> None:
    totals = only(changed((STATED, ""))).totals
    assert totals.stated is None
    assert totals.total is not None
    assert (totals.total.value, totals.total.computed) == (Decimal("122.00"), True)


def test_a_stated_total_that_differs_from_the_summary_is_shown_beside_it_and_neither_is_corrected() -> None:
    invoice = only(changed((STATED, "<ImportoTotaleDocumento>122.35</ImportoTotaleDocumento>")))
    assert invoice.totals.stated is not None
    assert invoice.totals.computed is not None
    assert (invoice.totals.stated.text, invoice.totals.computed.text) == ("122.35", "122.00")
    assert flags(invoice)[Flag.TOTAL_DIFFERS] == "0.35"


def test_a_rounding_within_a_vat_row_is_never_added() -> None:
    """It is within the taxable amount already for some makers, and not for others."""
    invoice = only(changed(("<Imposta>22.00", "<Arrotondamento>0.03</Arrotondamento><Imposta>22.00")))
    assert invoice.totals.computed is not None
    assert invoice.totals.computed.value == Decimal("122.00")
    assert Flag.ROUNDING_UNCLEAR in flags(invoice)


def test_the_documents_rounding_is_added() -> None:
    invoice = only(changed((STATED, STATED + "<Arrotondamento>-0.01</Arrotondamento>")))
    assert invoice.totals.computed is not None
    assert invoice.totals.computed.value == Decimal("121.99")


def test_stamp_duty_without_an_amount_has_none_and_is_not_added() -> None:
    invoice = only(changed((STATED, "<DatiBollo><BolloVirtuale>SI</BolloVirtuale></DatiBollo>" + STATED)))
    assert invoice.stamp is not None
    assert invoice.stamp.amount is None
    assert invoice.totals.computed is not None
    assert invoice.totals.computed.value == Decimal(122)


def test_whatever_may_occur_once_may_occur_often() -> None:
    kept = "<DatiRitenuta><TipoRitenuta>RT01</TipoRitenuta><ImportoRitenuta>20.00</ImportoRitenuta></DatiRitenuta>"
    invoice = only(
        changed(
            (STATED, kept + kept.replace("RT01", "RT03") + STATED + "<Causale>uno</Causale><Causale>due</Causale>"),
            (
                PAYMENT_START,
                "<DatiPagamento><CondizioniPagamento>TP03</CondizioniPagamento></DatiPagamento>" * 2 + PAYMENT_START,
            ),
        )
    )
    assert [one.kind for one in invoice.withholdings] == ["RT01", "RT03"]
    assert invoice.reasons == ("uno", "due")
    assert len(invoice.instalments) == 1


def test_what_is_to_pay_is_the_instalments_sum_else_the_total_without_what_is_kept_back() -> None:
    kept = "<DatiRitenuta><ImportoRitenuta>20.00</ImportoRitenuta></DatiRitenuta>"
    unsaid = ("<ImportoPagamento>122.00</ImportoPagamento>", "")
    second = "<DettaglioPagamento><ImportoPagamento>3.00</ImportoPagamento></DettaglioPagamento>"
    for pairs, expected, computed in (
        ([], "122.00", False),
        ([(PAYMENT_END, second + PAYMENT_END)], "125.00", True),
        ([unsaid], "122.00", True),
        ([unsaid, (STATED, kept + STATED)], "102.00", True),
        ([unsaid, (">I</Esig", ">S</Esig")], "100.00", True),
    ):
        payable = only(changed(*pairs)).totals.payable
        assert payable is not None
        assert (payable.value, payable.computed) == (Decimal(expected), computed)


def test_without_a_due_date_none_is_invented() -> None:
    assert only(changed((DUE, ""))).instalments[0].due is None


def test_a_due_date_is_computed_only_from_a_date_and_days_that_are_both_given() -> None:
    start = "<DataRiferimentoTerminiPagamento>2026-11-02</DataRiferimentoTerminiPagamento>"
    days = "<GiorniTerminiPagamento>60</GiorniTerminiPagamento>"
    due = only(changed((DUE, start + days))).instalments[0].due
    assert due is not None
    assert (due.value, due.computed) == (date(2027, 1, 1), True)
    assert only(changed((DUE, days))).instalments[0].due is None
    assert only(changed((DUE, start))).instalments[0].due is None
    assert only(changed((DUE, start + days.replace("60", "999999999")))).instalments[0].due is None


def test_no_payment_at_all_is_normal() -> None:
    text = changed().decode()
    without = text[: text.index(PAYMENT_START)] + text[text.index(PAYMENT_END) + len(PAYMENT_END) :]
    assert only(without.encode()).instalments == ()


def test_all_instalments_are_kept_and_a_list_shows_the_next_one_else_the_last() -> None:
    more = "".join(
        f"<DettaglioPagamento><DataScadenzaPagamento>{day}</DataScadenzaPagamento></DettaglioPagamento>"
        for day in ("2027-03-01", "2027-01-01", "")
    )
    instalments = only(changed((PAYMENT_END, more + PAYMENT_END))).instalments
    assert len(instalments) == 4
    for today, shown in (
        (date(2026, 1, 1), date(2026, 12, 2)),
        (date(2026, 12, 2), date(2026, 12, 2)),
        (date(2026, 12, 3), date(2027, 1, 1)),
        (date(2030, 1, 1), date(2027, 3, 1)),
    ):
        found = next_due(instalments, today)
        assert found is not None
        assert found.due is not None
        assert found.due.value == shown
    assert next_due((), date(2026, 1, 1)) is None


def test_the_iban_of_a_collection_is_marked_as_the_payers_bank() -> None:
    assert only(changed(("MP05", "MP12"))).instalments[0].payers_bank
    assert not only(changed()).instalments[0].payers_bank


def test_an_iban_that_fails_its_check_is_remarked_on() -> None:
    assert valid_iban("IT60 X054 2811 1010 0000 0123 456")
    assert not valid_iban("IT60X0542811101000000123457")
    assert Flag.IBAN_INVALID in flags(only(changed(("0000123456", "0000123457"))))


def test_another_currency_is_kept() -> None:
    assert only(changed(("<Divisa>EUR", "<Divisa>USD"))).currency == "USD"


def test_reverse_charge_split_payment_and_deferred_vat_are_told_apart() -> None:
    plain = only(changed())
    assert [plain.reverse_charge, plain.split_payment, plain.deferred_vat] == [False] * 3
    assert only(changed((">I</Esig", ">S</Esig"))).split_payment
    assert only(changed((">I</Esig", ">D</Esig"))).deferred_vat
    assert only(changed(("<ImponibileImporto>", "<Natura>N6.3</Natura><ImponibileImporto>"))).reverse_charge


def test_unknown_codes_are_data() -> None:
    invoice = only(changed(("TD01", "TD99"), ("RF01", "RF82"), ("MP05", "MP77")))
    assert (invoice.type_code, invoice.seller.regime, invoice.instalments[0].method) == ("TD99", "RF82", "MP77")


def test_a_file_of_several_invoices_gives_each_with_the_header_they_share() -> None:
    text = changed().decode()
    start, end = text.index("<FatturaElettronicaBody>"), text.index("</FatturaElettronicaBody>") + 25
    second = text[start:end].replace("12/A", "13/A")
    found = read((text[:end] + second + text[end:]).encode())
    assert [(one.number, one.body, one.bodies) for one in found.invoices] == [("12/A", 1, 2), ("13/A", 2, 2)]
    assert found.invoices[0].seller == found.invoices[1].seller


@pytest.mark.parametrize("type_code", ["TD04", "TD08"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_credit_note_counts_negative_whatever_its_sign_is(type_code: str, sign: str) -> None:
    invoice = only(
        changed((TYPE, f"<TipoDocumento>{type_code}</TipoDocumento>"), (STATED, STATED.replace("122", f"{sign}122")))
    )
    assert invoice.totals.stated is not None
    assert invoice.totals.stated.text == f"{sign}122.00"
    assert signed_total(invoice) == Decimal("-122.00")


def test_a_negative_invoice_stays_negative() -> None:
    assert signed_total(only(changed((STATED, STATED.replace("122", "-122"))))) == Decimal("-122.00")
    assert signed_total(only(changed())) == Decimal("122.00")
    assert hundredths(Decimal("122.005")) == 12201


def attached(inner: str) -> Invoice:
    return only(changed((BODY_END, f"<Allegati>{inner}</Allegati>{BODY_END}")))


@pytest.mark.parametrize("element", ["<Attachment/>", "<Attachment></Attachment>", ""])
def test_an_attachment_with_a_name_and_no_bytes_is_listed_as_empty(element: str) -> None:
    invoice = attached(f"<NomeAttachment>a.pdf</NomeAttachment>{element}")
    assert (invoice.attachments[0].name, invoice.attachments[0].size) == ("a.pdf", 0)
    assert flags(invoice)[Flag.ATTACHMENT_EMPTY] == "a.pdf"


def test_an_attachment_is_decoded_measured_and_told_by_its_bytes() -> None:
    pdf = base64.b64encode(b"%PDF-1.7 and so on").decode()
    invoice = attached(f"<NomeAttachment>a.pdf</NomeAttachment><Attachment>\n {pdf[:7]}\n{pdf[7:]} </Attachment>")
    assert invoice.attachments[0].content == b"%PDF-1.7 and so on"
    assert (invoice.attachments[0].kind, invoice.attachments[0].size) == ("pdf", 18)
    assert invoice.remarks == ()


def test_base64_within_base64_is_undone_with_a_remark() -> None:
    twice = base64.b64encode(base64.b64encode(b"%PDF-1.7 and so on")).decode()
    invoice = attached(f"<NomeAttachment>a.pdf</NomeAttachment><Attachment>{twice}</Attachment>")
    assert invoice.attachments[0].content == b"%PDF-1.7 and so on"
    assert Flag.ATTACHMENT_BASE64_TWICE in flags(invoice)


def test_broken_base64_gives_what_can_be_had_with_a_remark() -> None:
    invoice = attached("<NomeAttachment>a.bin</NomeAttachment><Attachment>QUJD*REVG!R</Attachment>")
    assert invoice.attachments[0].content == b"ABCDEF"
    assert Flag.ATTACHMENT_DAMAGED in flags(invoice)


def test_a_zip_that_is_named_pdf_is_told_and_not_unpacked() -> None:
    packed = base64.b64encode(b"PK\x03\x04 anything").decode()
    invoice = attached(
        "<NomeAttachment>a.pdf</NomeAttachment><AlgoritmoCompressione>ZIP</AlgoritmoCompressione>"
        f"<Attachment>{packed}</Attachment>"
    )
    assert invoice.attachments[0].kind == "zip"
    assert invoice.attachments[0].content == b"PK\x03\x04 anything"
    assert Flag.ATTACHMENT_KIND in flags(invoice)


def test_attachments_names_are_safe_and_distinct() -> None:
    one = "<Allegati><NomeAttachment>../../etc/pas\u202eswd</NomeAttachment><Attachment>QUJD</Attachment></Allegati>"
    invoice = only(changed((BODY_END, one * 60 + BODY_END)))
    names = [attachment.safe_name for attachment in invoice.attachments]
    assert len(set(names)) == 60
    assert all("/" not in name and "\u202e" not in name and not name.startswith(".") for name in names)
    assert invoice.attachments[0].name == "../../etc/pas\u202eswd"


def test_cdata_entities_and_comments_are_part_of_the_text() -> None:
    invoice = only(changed((">Consulenza<", "><![CDATA[Consu]]>len<!-- x -->za &amp; altro<")))
    assert invoice.lines[0].description == "Consulenza & altro"


def test_what_no_path_asks_for_is_kept_with_its_name() -> None:
    invoice = only(changed(("</DatiGenerali>", "<DatiTrasporto><Vettore>X</Vettore></DatiTrasporto></DatiGenerali>")))
    assert [(one.path, one.text) for one in invoice.more] == [("DatiGenerali/DatiTrasporto/Vettore", "X")]


def test_a_missing_part_is_remarked_on_and_the_rest_is_read() -> None:
    invoice = only(changed(("<Numero>12/A</Numero>", "")))
    assert flags(invoice)[Flag.MISSING] == "number"
    assert invoice.totals.stated is not None


def test_a_header_alone_and_a_body_alone_are_partial() -> None:
    text = changed().decode()
    start, end = text.index(" <FatturaElettronicaBody>"), text.index("</p:FatturaElettronica>")
    alone = read((text[:start] + text[end:]).encode())
    assert (alone.verdict, alone.invoices[0].body, alone.invoices[0].seller.name) == (
        Verdict.PARTIAL,
        0,
        "Perché & Figli Srl",
    )
    head = text.index(" <FatturaElettronicaHeader>")
    headless = read((text[:head] + text[start:]).encode())
    assert (headless.verdict, headless.invoices[0].number) == (Verdict.PARTIAL, "12/A")


def test_a_simplified_invoice_is_gross_and_its_tax_is_computed_where_it_is_not_stated() -> None:
    invoice = only(SIMPLIFIED.encode())
    assert invoice.totals.total is not None
    assert (invoice.totals.total.value, invoice.totals.total.computed) == (Decimal("110.00"), True)
    tax = invoice.lines[0].tax
    assert tax is not None
    assert (tax.value, tax.computed) == (Decimal("10.00"), True)
    assert invoice.vat_rows[0].taxable is not None
    assert invoice.vat_rows[0].taxable.value == Decimal("100.00")
    assert invoice.buyer.name == ""
    assert invoice.buyer.fiscal_code == "RSSMRA80A01H501U"


@pytest.mark.parametrize(
    ("within", "tax", "computed"),
    [
        ("<DatiIVA><Imposta>0.00</Imposta></DatiIVA>", "0.00", False),
        ("<DatiIVA><Imposta>9.50</Imposta><Aliquota>10.00</Aliquota></DatiIVA>", "9.50", False),
        ("<Natura>N2.2</Natura>", "0", True),
        ("", None, False),
    ],
)
def test_the_tax_of_a_simplified_line_is_stated_computed_or_unknown(
    within: str, tax: str | None, *, computed: bool
) -> None:
    invoice = only(changed(("<DatiIVA><Aliquota>10.00</Aliquota></DatiIVA>", within), text=SIMPLIFIED))
    found = invoice.lines[0].tax
    assert (found.value if found else None) == (None if tax is None else Decimal(tax))
    assert found is None or found.computed == computed


def test_a_simplified_amount_that_seems_to_be_net_is_remarked_on_and_not_guessed() -> None:
    invoice = only(changed(("<DatiIVA>", "<DatiIVA><Imposta>11.00</Imposta>"), text=SIMPLIFIED))
    assert flags(invoice)[Flag.NET_TAKEN_FOR_GROSS] == "1"
    assert invoice.totals.total is not None
    assert invoice.totals.total.value == Decimal("110.00")


def test_a_ubl_invoice_is_read_and_its_tax_in_another_currency_is_kept_apart() -> None:
    invoice = only(UBL.encode())
    totals = invoice.totals
    assert invoice.remarks == ()
    assert totals.tax is not None
    assert totals.second_tax is not None
    assert (totals.tax.text, totals.second_tax.text, totals.second_currency) == ("19.00", "95.00", "RON")
    assert invoice.seller.vat == TaxId("RO", "123")
    assert invoice.instalments[0].due is not None
    assert invoice.instalments[0].due.value == date(2026, 12, 2)


@pytest.mark.parametrize("scheme", ["!= VAT", "VA", "LOC", ""])
def test_a_seller_without_vat_has_no_vat_number_but_another(scheme: str) -> None:
    invoice = only(changed(("<cbc:ID>VAT</cbc:ID>", f"<cbc:ID>{scheme}</cbc:ID>"), text=UBL))
    assert invoice.seller.vat is None
    assert [one.text for one in invoice.seller.other_ids] == ["RO123"]


def test_the_type_of_a_ubl_invoice_decides_whether_it_is_a_credit_note() -> None:
    """An Invoice of type 381 is one; 389, self-billed, and 384, corrected, count as written."""
    for code, credit in (("380", False), ("381", True), ("384", False), ("389", False)):
        assert only(changed((">380<", f">{code}<"), text=UBL)).credit_note is credit
    note = (
        UBL.replace("Invoice-2", "CreditNote-2")
        .replace("<Invoice xmlns", "<CreditNote xmlns")
        .replace("</Invoice>", "</CreditNote>")
    )
    note = note.replace("InvoiceTypeCode", "CreditNoteTypeCode").replace("InvoiceLine", "CreditNoteLine")
    note = note.replace("InvoicedQuantity", "CreditedQuantity").replace("380", "381")
    invoice = only(note.encode())
    assert invoice.credit_note
    assert signed_total(invoice) == Decimal("-119.00")
    assert len(invoice.lines) == 1


def test_a_ubl_links_attachment_is_shown_and_never_fetched() -> None:
    link = (
        "<cac:AdditionalDocumentReference><cbc:ID>doc</cbc:ID><cac:Attachment><cac:ExternalReference>"
        "<cbc:URI>http://127.0.0.1:1/x</cbc:URI></cac:ExternalReference></cac:Attachment></cac:AdditionalDocumentReference>"
    )
    invoice = only(changed(("<cac:PaymentMeans>", link + "<cac:PaymentMeans>"), text=UBL))
    assert invoice.attachments[0].link == "http://127.0.0.1:1/x"
    assert invoice.attachments[0].size == 0


@pytest.mark.parametrize("root", ["RicevutaConsegna", "MetadatiInvioFile", "FileMetadati", "header"])
def test_messages_are_no_invoices(root: str) -> None:
    found = read(f"<x:{root} xmlns:x='urn:x'><A>1</A></x:{root}>".encode())
    assert found.verdict is Verdict.NOT_AN_INVOICE
    assert [(one.path, one.text) for one in found.fields] == [("A", "1")]


def test_what_a_message_says_in_attributes_is_shown() -> None:
    found = read(b"<header dateResponse='202611270800'><Errors errorMessage='R6.1: CIF'/></header>")
    assert [(one.path, one.text) for one in found.fields] == [
        ("dateResponse", "202611270800"),
        ("Errors/errorMessage", "R6.1: CIF"),
    ]


def test_an_empty_file_is_no_invoice() -> None:
    assert read(b"").verdict is Verdict.NOT_AN_INVOICE


def test_a_cross_industry_invoice_is_recognised_and_shown_as_names_and_values() -> None:
    found = read(b"<CrossIndustryInvoice><ExchangedDocument><ID>7</ID></ExchangedDocument></CrossIndustryInvoice>")
    assert (found.verdict, found.format) == (Verdict.PARTIAL, "cii")
    assert [(one.path, one.text) for one in found.fields] == [("ExchangedDocument/ID", "7")]
