"""One sheet, three printers: each holds every value, and no supplier's text gets out of its place."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256

import pytest
from tests.invoices.second_reading import leaves, raw_text, without
from tests.invoices.signed import Signing, signed
from tests.invoices.test_invoices_corpus import invoices_of
from tests.invoices.written import CORPUS, MISSING, ORDINARY, SIMPLIFIED, UBL, changed

from easytracking_sync.invoices.invoice import Format, Invoice
from easytracking_sync.invoices.limits import MOST_FIELD_SIGNS, MOST_SHEET_ROWS
from easytracking_sync.invoices.reading import Verdict, read, read_document
from easytracking_sync.invoices.remarks import Flag, Remark
from easytracking_sync.invoices.scalars import Number, computed
from easytracking_sync.invoices.sdi_metadata import Agreement
from easytracking_sync.invoices.sheets import codes_fatturapa, codes_ubl
from easytracking_sync.invoices.sheets.building import sheet_of, sheet_of_fields
from easytracking_sync.invoices.sheets.element_names import NAMES, path_name
from easytracking_sync.invoices.sheets.page import print_page
from easytracking_sync.invoices.sheets.provenance import Provenance, provenance_of, remark_text
from easytracking_sync.invoices.sheets.sheet import Facts, Language, Sheet, Table, mapped, texts_of
from easytracking_sync.invoices.sheets.terminal import print_text
from easytracking_sync.invoices.sheets.words import Words
from easytracking_sync.invoices.signatures import Answer, check_signatures
from easytracking_sync.terms import FileType

ITALIAN, ENGLISH = Language.ITALIAN, Language.ENGLISH
STATED = "<ImportoTotaleDocumento>122.00</ImportoTotaleDocumento>"
IT, EN = Words(ITALIAN), Words(ENGLISH)


def invoice_of(data: bytes) -> Invoice:
    return read(data).invoices[0]


def sheet(*pairs: tuple[str, str], text: str = ORDINARY, language: Language = ITALIAN) -> Sheet:
    return sheet_of(invoice_of(changed(*pairs, text=text)), language)


def squeezed(text: str) -> str:
    return "".join(text.split())


def page_text(page: str) -> str:
    """What a reader of the page sees."""
    body = page[page.index("<body>") :]
    return html.unescape(re.sub(r"<[^>]*>", "\n", body))


def missing_from(printed: str, made: Sheet) -> list[str]:
    plain = squeezed(printed)
    return [text for text in texts_of(made) if squeezed(text) not in plain]


def facts_of(made: Sheet, heading: str) -> dict[str, str]:
    return {
        fact.label: fact.value
        for block in made.blocks
        if isinstance(block, Facts) and block.heading == heading
        for fact in block.facts
    }


def table_of(made: Sheet, heading: str) -> Table:
    return next(block for block in made.blocks if isinstance(block, Table) and block.heading == heading)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("text", [ORDINARY, SIMPLIFIED, UBL], ids=["ordinary", "simplified", "UBL"])
def test_a_page_holds_every_value_of_its_sheet_and_a_terminal_too(text: str, language: Language) -> None:
    made = sheet(text=text, language=language)
    assert missing_from(page_text(print_page(made)), made) == []
    printed = squeezed(print_text(made, 4000).casefold())  # headings are in capitals
    lines = [line for text in texts_of(made) for line in text.split("\n")]
    assert [line for line in lines if squeezed(line.casefold()) not in printed] == []


@pytest.mark.skipif(not CORPUS.is_dir(), reason=MISSING)
def test_the_page_of_every_real_invoice_holds_every_value() -> None:
    for path, reading in invoices_of(*Format):
        for language in Language:
            made = sheet_of(reading.invoices[0], language)
            assert missing_from(page_text(print_page(made)), made) == [], path.name
            assert print_text(made), path.name


UNSHOWN = {"Attachment", "EmbeddedDocumentBinaryObject", "FormatoTrasmissione", "ChargeIndicator", "Tipo", "ID"}


@pytest.mark.skipif(not CORPUS.is_dir(), reason=MISSING)
def test_the_page_of_a_real_invoice_misses_no_text_of_the_file() -> None:
    """By the second reading: a text is on the page as it is, or as the number or the day that it is."""
    for path, reading in invoices_of(*Format):
        if path.stat().st_size > 500_000:
            continue  # cut on purpose, or by its attachments
        shown = "".join(
            squeezed(page_text(print_page(sheet_of(invoice, ENGLISH)))) for invoice in reading.invoices
        ).replace(",", "")
        text = without(raw_text(path), "Signature", "Attachment", "EmbeddedDocumentBinaryObject")
        for name, leaf in leaves(text):
            if name not in UNSHOWN and not is_shown(leaf, shown):
                pytest.fail(f"{path.name}: {name} is not on the page: {leaf[:60]!r}")


def is_shown(leaf: str, shown: str) -> bool:
    if squeezed(leaf).replace(",", "") in shown or leaf.strip() in {"SI", "NO"}:
        return True
    if re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+", leaf):
        return EN.decimal(Decimal(leaf)).replace(",", "") in shown
    return leaf[:10] in shown and bool(re.match(r"\d{4}-\d{2}-\d{2}", leaf))


HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"


def test_every_text_is_escaped_and_nothing_is_loaded() -> None:
    made = mapped(sheet(), lambda text: f"{text}{HOSTILE}" if text else text)
    page = print_page(made)
    assert "<script" not in page.lower()
    assert missing_from(page_text(page), made) == []
    for loader in ("src=", "href=", "url(", "@import", "<link", "<iframe", "<form", "javascript:", " on"):
        assert loader not in re.sub(r">[^<]*<", "><", page.lower().split("</style>")[1]), loader
    assert "url(" not in page


def test_a_text_cannot_turn_its_neighbours_around() -> None:
    page = print_page(sheet(("Consulenza", "abc\u202edef")))
    assert re.search("<bdi>abc\u202edef</bdi>", page)


def test_control_characters_do_not_get_into_a_page() -> None:
    made = mapped(sheet(), lambda text: text + "\x1b\x00\x85\ud800")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", print_page(made))


def test_a_terminal_is_not_steered() -> None:
    made = mapped(sheet(), lambda text: text + "\x1b[31m\u202e")
    printed = print_text(made)
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "\\x1b[31m" in printed


@pytest.mark.parametrize("width", [1, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("text", [ORDINARY, SIMPLIFIED, UBL], ids=["ordinary", "simplified", "UBL"])
def test_a_terminals_lines_are_no_wider_than_it_is(text: str, width: int) -> None:
    printed = print_text(
        sheet(("Consulenza", "molte parole " * 30), text=text) if "Consulenza" in text else sheet(text=text), width
    )
    assert max(map(len, printed.split("\n"))) <= max(width, 40)


def test_amounts_are_written_as_the_language_writes_them_and_keep_their_decimals() -> None:
    number = Number("-1234567.10", Decimal("-1234567.10"))
    assert (IT.amount(number), EN.amount(number)) == ("-1.234.567,10", "-1,234,567.10")
    assert IT.amount(Number("0.29785848", Decimal("0.29785848"))) == "0,29785848"
    assert IT.amount(Number("3", Decimal(3))) == "3,00"
    assert IT.number(Number("2.00", Decimal("2.00"))) == "2"
    assert IT.percent(Number("22.50", Decimal("22.50"))) == "22,5%"
    assert IT.amount(Number("122,0x", None)) == "122,0x"
    assert IT.money(number, "EUR") == "€ -1.234.567,10"
    assert IT.money(number, "USD") == "-1.234.567,10 USD"
    assert IT.amount(computed(Decimal("1.5"))) == "1,50 *"
    assert (IT.amount(None), IT.percent(None), IT.money(None, "EUR")) == ("", "", "")


def test_a_computed_value_is_marked_and_the_mark_is_explained() -> None:
    made = sheet((STATED, ""))
    assert facts_of(made, "Totali")["Totale calcolato"] == "€ 122,00 *"
    assert "*" in made.footer[0]


def test_two_totals_that_differ_are_both_shown() -> None:
    made = sheet((STATED, STATED.replace("122.00", "122.35")))
    totals = facts_of(made, "Totali")
    assert (totals["Totale indicato"], totals["Totale calcolato"]) == ("€ 122,35", "€ 122,00 *")
    assert any("0.35" in text for text in texts_of(made))


def test_a_missing_due_date_is_said() -> None:
    made = sheet(("<DataScadenzaPagamento>2026-12-02</DataScadenzaPagamento>", ""))
    assert table_of(made, "Pagamento").rows[0][0] == "scadenza non indicata"


def test_the_iban_of_a_collection_is_labelled_as_the_payers_bank() -> None:
    assert "Banca d'appoggio: IT60" in "".join(table_of(sheet(("MP05", "MP12")), "Pagamento").rows[0])
    assert "Banca d'appoggio" not in "".join(table_of(sheet(), "Pagamento").rows[0])


def test_stamp_duty_without_an_amount_says_so() -> None:
    made = sheet((STATED, "<DatiBollo><BolloVirtuale>SI</BolloVirtuale></DatiBollo>" + STATED))
    assert facts_of(made, "Bollo (dichiarato)")["Importo"] == "importo non indicato"


def test_a_part_that_says_nothing_makes_no_table() -> None:
    made = sheet((STATED, "<DatiRitenuta/>" + STATED))
    assert [block for block in made.blocks if isinstance(block, Table) and not block.columns] == []
    assert print_text(made)


def test_badges_tell_what_changes_who_pays_what() -> None:
    badges = {
        badge.text
        for pairs in ([(">I</Esig", ">S</Esig")], [(">I</Esig", ">D</Esig")], [("TD01", "TD04")], [("TD01", "TD17")])
        for badge in sheet(*pairs).badges
    }
    assert badges == {"scissione dei pagamenti", "IVA differita", "nota di credito", "emessa dal cliente"}
    reverse = sheet(("<ImponibileImporto>", "<Natura>N6.3</Natura><ImponibileImporto>"), language=ENGLISH)
    assert [badge.text for badge in reverse.badges] == ["reverse charge"]


def test_one_of_several_invoices_in_a_file_says_which() -> None:
    made = sheet_of(replace(invoice_of(changed()), body=2, bodies=3), ENGLISH)
    assert [badge.text for badge in made.badges] == ["document 2 of 3"]


def test_a_party_the_file_does_not_name_is_said_to_be_missing() -> None:
    text = changed().decode()
    start, end = text.index("<CedentePrestatore>"), text.index("</CedentePrestatore>") + 20
    made = sheet_of(invoice_of((text[:start] + text[end:]).encode()), ITALIAN)
    assert "non indicato nel file" in set(texts_of(made))


def test_known_codes_have_labels_and_unknown_ones_are_shown() -> None:
    assert IT.coded("TD01", codes_fatturapa.DOCUMENT) == "Fattura (TD01)"
    assert EN.coded("TD99", codes_fatturapa.DOCUMENT) == "TD99"
    made = sheet(("MP05", "MP77"))
    assert "MP77" in table_of(made, "Pagamento").rows[0]


def test_every_label_has_both_languages() -> None:
    tables = [
        table
        for module in (codes_fatturapa, codes_ubl)
        for table in vars(module).values()
        if isinstance(table, dict) and table and all(isinstance(one, tuple) for one in table.values())
    ]
    assert len(tables) >= 12
    for table in (*tables, NAMES):
        for code, labels in table.items():
            assert len(labels) == 2, code
            assert all(label.strip() == label and label for label in labels), code


def test_an_element_without_a_name_in_words_is_taken_apart() -> None:
    assert path_name("DatiGenerali/SomethingNewHere", 0) == "Something New Here"
    assert path_name("DatiGenerali/DatiTrasporto/MezzoTrasporto", 1) == "Transport - Means"
    assert path_name("PartyIdentification/ID", 1) == "Identifier"


@pytest.mark.parametrize("flag", Flag)
@pytest.mark.parametrize("words", [IT, EN], ids=["it", "en"])
def test_every_remark_is_a_sentence(flag: Flag, words: Words) -> None:
    text = remark_text(Remark(flag, "total" if flag is Flag.MISSING else "X1"), words)
    assert len(text) > 10
    assert "{" not in text
    assert remark_text(Remark(flag), words)


def test_a_long_field_is_cut_and_says_so() -> None:
    made = sheet(("Consulenza", "x" * (MOST_FIELD_SIGNS + 5)))
    cell = table_of(made, "Righe").rows[0][1]
    assert len(cell) < MOST_FIELD_SIGNS + 40
    assert cell.endswith("(il seguito è nel file)")


def test_many_reasons_are_cut_and_say_so() -> None:
    made = sheet((STATED, STATED + "<Causale>parola</Causale>" * 9_000), language=ENGLISH)
    assert sum(text == "parola" for text in texts_of(made)) < 4_000
    assert "the rest is in the file" in "".join(texts_of(made))


def test_many_rows_are_cut_and_say_so() -> None:
    line = ORDINARY[ORDINARY.index("<DettaglioLinee>") : ORDINARY.index("</DettaglioLinee>") + 17]
    made = sheet((line, line * (MOST_SHEET_ROWS + 3)))
    table = table_of(made, "Righe")
    assert len(table.rows) == MOST_SHEET_ROWS
    assert str(MOST_SHEET_ROWS + 3) in table.note
    assert table.note in page_text(print_page(made))


def test_a_sheet_tells_where_the_invoice_came_from_and_who_signed_it() -> None:
    envelope = signed(Signing(ORDINARY.encode()))
    reading = read(envelope)
    provenance = Provenance(
        file_name="IT1_1.xml.p7m",
        shown=FileType.FA,
        sha256=reading.sha256,
        verdict=Verdict.REPAIRED,
        remarks=(Remark(Flag.CONTROLS),),
        signatures=check_signatures(reading.envelopes),
        same_as_unsigned=True,
        agreements=(Agreement.HASH,),
        sdi_id="123",
        received=datetime(2026, 11, 3, 8, 30, tzinfo=UTC),
    )
    made = sheet_of(reading.invoices[0], ITALIAN, provenance)
    signature = facts_of(made, "Firma")
    assert signature["Firmatario"] == "Mario Rossi"
    assert (signature["Integra"], signature["Certificato valido allora"]) == ("sì", "sì")
    assert signature["Emittente attendibile"] == "non verificato"
    assert "non verificata" in signature["Revoca"]
    origin = facts_of(made, "Provenienza")
    assert origin["File"] == "IT1_1.xml.p7m"
    assert origin["Metadati SdI concordi in"] == "impronta"
    assert origin["Copia senza firma"] == "uguale"
    assert origin["Ricevuta il"] == "03/11/2026 08:30 UTC"
    assert [badge.text for badge in made.badges] == ["file riparato"]
    assert missing_from(page_text(print_page(made)), made) == []


def test_the_origin_of_a_document_is_what_its_files_say() -> None:
    """The signature is FA's although FU is shown, and the metadata agree with FA."""
    envelope = signed(Signing(ORDINARY.encode()))[:-1]
    said = f"<IdentificativoSdI>7</IdentificativoSdI><Hash>{sha256(envelope).hexdigest()}</Hash>"
    metadata = f"<FileMetadati>{said}</FileMetadati>"
    files = {FileType.FA: envelope, FileType.FU: ORDINARY.encode(), FileType.MT: metadata.encode()}
    found = read_document(files)
    assert found is not None
    made = provenance_of(files, found, file_name="a.p7m", sdi_id="7")
    assert (made.shown, made.agreements) == (FileType.FU, (Agreement.SDI_ID, Agreement.HASH))
    assert [one.intact for one in made.signatures] == [Answer.UNKNOWN]
    assert (made.verdict, made.same_as_unsigned) == (Verdict.UNDERSTOOD, None)
    whole = {FileType.FI: ORDINARY.encode()}
    shown = read_document(whole)
    assert shown is not None
    assert provenance_of(whole, shown).signatures == ()


def test_a_message_is_shown_as_names_and_values() -> None:
    reading = read(b"<RicevutaConsegna><IdentificativoSdI>7</IdentificativoSdI></RicevutaConsegna>")
    made = sheet_of_fields(reading, ENGLISH)
    assert made.title == "Message"
    assert list(facts_of(made, "Content").values()) == ["7"]
