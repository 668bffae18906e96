"""An invoice, or another readable file, made into a sheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from easytracking_sync.invoices.invoice import Invoice
from easytracking_sync.invoices.limits import MOST_FIELD_SIGNS, MOST_SHEET_ROWS
from easytracking_sync.invoices.reading import Reading, Verdict
from easytracking_sync.invoices.sheets import blocks as block_of
from easytracking_sync.invoices.sheets import money
from easytracking_sync.invoices.sheets.party_boxes import other_parties, parties
from easytracking_sync.invoices.sheets.provenance import Provenance, origin, signature_blocks, to_look_at
from easytracking_sync.invoices.sheets.sheet import (
    Badge,
    Block,
    Fact,
    Facts,
    Language,
    Notes,
    Sheet,
    Table,
    Tone,
    mapped,
    texts_of,
)
from easytracking_sync.invoices.sheets.words import MARK, Words

NOWHERE = Provenance()
_SELF_BILLED = frozenset({"TD16", "TD17", "TD18", "TD19", "TD20", "TD21", "TD22", "TD23", "TD28", "389", "261"})


def sheet_of(invoice: Invoice, language: Language, provenance: Provenance = NOWHERE) -> Sheet:
    """The sheet of one body. Long fields and tables are cut, which is said where it happens."""
    words = Words(language)
    name = block_of.document_name(invoice, words)
    number = f" {invoice.number}" if invoice.number else ""
    day = words.day(invoice.day)
    of = words("del", "of")
    made = Sheet(
        language=language,
        title=f"{name}{number}" + (f" {of} {day}" if day else ""),
        subtitle=invoice.seller.name,
        badges=tuple(_badges(invoice, provenance, words)),
        blocks=tuple(block for block in _blocks(invoice, provenance, words) if block is not None),
    )
    return _finished(made, words)


def sheet_of_fields(reading: Reading, language: Language, provenance: Provenance = NOWHERE) -> Sheet:
    """A message of SDI, or an invoice of another form: names and values."""
    words = Words(language)
    title = words("Messaggio", "Message")
    if reading.verdict is Verdict.PARTIAL:
        title = words("Fattura in un altro formato", "Invoice in another format")
    blocks: tuple[Block | None, ...] = (
        Facts(words("Contenuto", "Content"), words.facts(reading.fields)),
        to_look_at(reading.remarks, words),
        *signature_blocks(provenance, words),
        origin(provenance, words),
    )
    made = Sheet(
        language,
        title,
        reading.format.value if reading.format else "",
        (),
        tuple(block for block in blocks if block is not None),
    )
    return _finished(made, words)


def _blocks(invoice: Invoice, provenance: Provenance, words: Words) -> Iterator[Block | None]:
    yield parties(invoice, words)
    yield block_of.highlights(invoice, words)
    yield to_look_at((*provenance.remarks, *invoice.remarks), words)
    yield block_of.reasons(invoice, words)
    yield block_of.invoice_lines(invoice, words)
    yield money.vat_summary(invoice, words)
    yield from money.deductions(invoice, words)
    yield money.totals(invoice, words)
    yield money.payments(invoice, words)
    yield block_of.references(invoice, words)
    yield block_of.document(invoice, words)
    yield other_parties(invoice, words)
    yield block_of.others(invoice, words)
    yield block_of.attachments(invoice, words)
    yield from signature_blocks(provenance, words)
    yield origin(provenance, words)


def _badges(invoice: Invoice, provenance: Provenance, words: Words) -> Iterator[Badge]:
    if invoice.bodies > 1:
        yield Badge(
            words(f"documento {invoice.body} di {invoice.bodies}", f"document {invoice.body} of {invoice.bodies}")
        )
    if invoice.bodies == 0:
        yield Badge(words("solo intestazione", "header only"), Tone.WARNING)
    if invoice.credit_note:
        yield Badge(words("nota di credito", "credit note"), Tone.INFO)
    if invoice.type_code in _SELF_BILLED:
        yield Badge(words("emessa dal cliente", "issued by the buyer"), Tone.INFO)
    if invoice.reverse_charge:
        yield Badge(words("inversione contabile", "reverse charge"), Tone.INFO)
    if invoice.split_payment:
        yield Badge(words("scissione dei pagamenti", "split payment"), Tone.INFO)
    if invoice.deferred_vat:
        yield Badge(words("IVA differita", "deferred VAT"), Tone.INFO)
    if invoice.withholdings:
        yield Badge(words("ritenuta", "withholding"), Tone.INFO)
    if provenance.verdict is Verdict.REPAIRED:
        yield Badge(words("file riparato", "repaired file"), Tone.WARNING)


def _finished(sheet: Sheet, words: Words) -> Sheet:
    """Cut to what a page can bear, with the legend of the mark where it is used."""
    cut = mapped(sheet, lambda text: _cut(text, words))
    cut = replace(cut, blocks=tuple(_shortened(block, words) for block in cut.blocks))
    marked = any(MARK in text for text in texts_of(cut))
    legend = words(
        "* calcolato da questo programma, non scritto nel file.", "* computed by this program, not in the file."
    )
    copy = words(
        "Copia di cortesia: fa fede il file originale.", "Courtesy copy: the original file alone is the document."
    )
    return replace(cut, footer=(legend, copy) if marked else (copy,))


def _cut(text: str, words: Words) -> str:
    if len(text) <= MOST_FIELD_SIGNS:
        return text
    return text[:MOST_FIELD_SIGNS] + _more(words)


def _more(words: Words) -> str:
    return words(" … (il seguito è nel file)", " … (the rest is in the file)")


def _shortened(block: Block, words: Words) -> Block:
    if isinstance(block, Table) and len(block.rows) > MOST_SHEET_ROWS:
        count = len(block.rows)
        note = words(
            f"{MOST_SHEET_ROWS} righe su {count}: le altre sono nel file",
            f"{MOST_SHEET_ROWS} of {count} rows: the others are in the file",
        )
        return replace(block, rows=block.rows[:MOST_SHEET_ROWS], note=note)
    if isinstance(block, Facts) and len(block.facts) > MOST_SHEET_ROWS:
        return replace(block, facts=(*block.facts[:MOST_SHEET_ROWS], Fact("", _more(words))))
    if isinstance(block, Notes):
        left, kept = MOST_FIELD_SIGNS, 0
        for kept, line in enumerate(block.lines, start=1):
            left -= len(line)
            if left < 0 or kept >= MOST_SHEET_ROWS:
                break
        if kept < len(block.lines):
            return replace(block, lines=(*block.lines[:kept], _more(words)))
    return block
