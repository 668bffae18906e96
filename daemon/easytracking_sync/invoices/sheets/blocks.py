"""The parts of an invoice as blocks of a sheet. A block that would be empty is None."""

from __future__ import annotations

from easytracking_sync.invoices.invoice import Format, Invoice, Line, Reference
from easytracking_sync.invoices.sheets import codes_fatturapa as italian
from easytracking_sync.invoices.sheets import codes_ubl as ubl
from easytracking_sync.invoices.sheets.element_names import element_name
from easytracking_sync.invoices.sheets.money import discounts_of, is_ubl
from easytracking_sync.invoices.sheets.sheet import Column, Facts, Highlights, Notes, Table
from easytracking_sync.invoices.sheets.words import Words, facts, lines, table

_REFERENCES: italian.Labels = {
    "DatiOrdineAcquisto": ("Ordine di acquisto", "Purchase order"),
    "DatiContratto": ("Contratto", "Contract"),
    "DatiConvenzione": ("Convenzione", "Agreement"),
    "DatiRicezione": ("Ricezione", "Receipt"),
    "DatiFattureCollegate": ("Fattura collegata", "Linked invoice"),
    "DatiSAL": ("Stato avanzamento lavori", "Progress stage"),
    "DatiDDT": ("Documento di trasporto", "Delivery note"),
    "FatturaPrincipale": ("Fattura principale", "Main invoice"),
    "DatiFatturaRettificata": ("Fattura rettificata", "Corrected invoice"),
    "OrderReference": ("Ordine di acquisto", "Purchase order"),
    "ContractDocumentReference": ("Contratto", "Contract"),
    "DespatchDocumentReference": ("Documento di trasporto", "Delivery note"),
    "ReceiptDocumentReference": ("Ricezione", "Receipt"),
    "OriginatorDocumentReference": ("Gara o lotto", "Tender or lot"),
    "ProjectReference": ("Progetto", "Project"),
    "InvoiceDocumentReference": ("Fattura collegata", "Linked invoice"),
    "CreditNoteDocumentReference": ("Nota di credito collegata", "Linked credit note"),
}


def document_name(invoice: Invoice, words: Words) -> str:
    """What kind of document it is, in words."""
    name = words.label(invoice.type_code, ubl.DOCUMENT if is_ubl(invoice) else italian.DOCUMENT)
    return name or words("Documento senza tipo", "Document without a type")


def highlights(invoice: Invoice, words: Words) -> Highlights:
    """Number, date, total, what is to pay and until when."""
    dated = list(dict.fromkeys(words.day(one.due) for one in invoice.instalments if one.due))
    due = dated[0] if dated else words("non indicata", "not given")
    if len(dated) > 1:
        due += words(f" (1 di {len(dated)})", f" (1 of {len(dated)})")
    totals, unknown = invoice.totals, words("non indicato", "not given")
    return Highlights(
        facts(
            (words("Numero", "Number"), invoice.number or unknown),
            (words("Data", "Date"), words.day(invoice.day) or unknown),
            (words("Totale", "Total"), words.money(totals.total, invoice.currency) or unknown),
            (words("Da pagare", "To pay"), words.money(totals.payable, invoice.currency) or unknown),
            (words("Scadenza", "Due"), due),
        )
    )


def document(invoice: Invoice, words: Words) -> Facts:
    """Type, currency, version, transmission."""
    labels = ubl.DOCUMENT if is_ubl(invoice) else italian.DOCUMENT
    rows = facts(
        (words("Tipo", "Type"), words.coded(invoice.type_code, labels)),
        (words("Valuta", "Currency"), invoice.currency),
        (words("Versione", "Version"), invoice.version),
    )
    return Facts(words("Documento", "Document"), (*rows, *words.facts(invoice.transmission)))


def reasons(invoice: Invoice, words: Words) -> Notes | None:
    """Each on a line of its own."""
    heading = words("Note", "Notes") if is_ubl(invoice) else words("Causale", "Reason")
    return Notes(heading, invoice.reasons) if invoice.reasons else None


def invoice_lines(invoice: Invoice, words: Words) -> Table | None:
    """What was sold."""
    gross = invoice.format is Format.SIMPLIFIED
    columns = (
        Column(words("N.", "No.")),
        Column(words("Descrizione", "Description"), wide=True),
        Column(words("Quantità", "Quantity"), numeric=True),
        Column(words("U.M.", "Unit")),
        Column(words("Prezzo", "Price"), numeric=True),
        Column(words("Sconti", "Discounts"), numeric=True),
        Column(words("IVA", "VAT"), numeric=True),
        Column(words("Imposta", "Tax"), numeric=True),
        Column(words("Importo con IVA", "Amount with VAT") if gross else words("Importo", "Amount"), numeric=True),
    )
    rows = [_line(line, words, in_ubl=is_ubl(invoice)) for line in invoice.lines]
    return table(words("Righe", "Lines"), columns, rows)


def _line(line: Line, words: Words, *, in_ubl: bool) -> tuple[str, ...]:
    start, end = words.day(line.period_start), words.day(line.period_end)
    period = " - ".join(part for part in (start, end) if part)
    price_for = words.number(line.price_for)
    details = (
        *(f"{_code_kind(code.kind, words)}: {code.value}" for code in line.codes),
        words("Periodo: ", "Period: ") + period if period else "",
        words.coded(line.kind, italian.SUPPLY),
        words.fields(line.more),
    )
    price = words.amount(line.price)
    if price and price_for and price_for != "1":
        price += words(f" per {price_for}", f" for {price_for}")
    return (
        line.number,
        lines(line.description, *details),
        words.number(line.quantity),
        words.label(line.unit, ubl.UNIT) if in_ubl else line.unit,
        price,
        discounts_of(line.discounts, words),
        lines(words.percent(line.rate), line.nature),
        words.amount(line.tax),
        words.amount(line.total),
    )


def _code_kind(kind: str, words: Words) -> str:
    names = {
        "SellersItemIdentification": words("Codice del fornitore", "Seller's code"),
        "BuyersItemIdentification": words("Codice del cliente", "Buyer's code"),
        "StandardItemIdentification": words("Codice standard", "Standard code"),
        "": words("Codice", "Code"),
    }
    return names.get(kind, kind)


def references(invoice: Invoice, words: Words) -> Table | None:
    """Orders, contracts, delivery notes, other invoices."""
    columns = (
        Column(words("Documento", "Document")),
        Column(words("Numero", "Number")),
        Column(words("Data", "Date")),
        Column(words("Righe", "Lines")),
        Column("CIG"),
        Column("CUP"),
        Column(words("Altro", "More"), wide=True),
    )
    rows = [_reference(one, words) for one in invoice.references]
    return table(words("Riferimenti", "References"), columns, rows)


def _reference(one: Reference, words: Words) -> tuple[str, ...]:
    kind = element_name(one.kind, words.language.column, _REFERENCES)
    return kind, one.number, words.day(one.day), ", ".join(one.lines), one.cig, one.cup, words.fields(one.more)


def others(invoice: Invoice, words: Words) -> Facts | None:
    """What no other block shows: transport, vehicles, anything a maker added."""
    found = words.facts(invoice.more)
    return Facts(words("Altri dati", "Other data"), found) if found else None


def attachments(invoice: Invoice, words: Words) -> Table | None:
    """Names, kinds by their bytes, sizes."""
    columns = (
        Column(words("Nome", "Name"), wide=True),
        Column(words("Descrizione", "Description"), wide=True),
        Column(words("Formato dichiarato", "Stated format")),
        Column(words("Contenuto", "Content")),
        Column("Byte" if words.language.column == 0 else "Bytes", numeric=True),
    )
    rows = [
        (
            lines(one.name, one.safe_name if one.safe_name != one.name else "", one.link),
            one.description,
            lines(one.stated_format, one.compression),
            one.kind or (words("vuoto", "empty") if not one.size and not one.link else ""),
            str(one.size),
        )
        for one in invoice.attachments
    ]
    return table(words("Allegati", "Attachments"), columns, rows)
