"""The amounts of an invoice as blocks of a sheet: VAT summary, deductions, totals, payments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from easytracking_sync.invoices.invoice import Discount, Format, Instalment, Invoice
from easytracking_sync.invoices.sheets import codes_fatturapa as italian
from easytracking_sync.invoices.sheets import codes_ubl as ubl
from easytracking_sync.invoices.sheets.sheet import Column, Facts, Notes, Table
from easytracking_sync.invoices.sheets.words import Words, facts, lines, table


def is_ubl(invoice: Invoice) -> bool:
    """Whether its codes are UBL's."""
    return invoice.format in {Format.UBL_INVOICE, Format.UBL_CREDIT_NOTE}


def discounts_of(discounts: tuple[Discount, ...], words: Words) -> str:
    """Discounts with -, charges with +, in order."""
    return lines(*(_discount(one, words) for one in discounts))


def _discount(one: Discount, words: Words) -> str:
    sign = "+" if one.charge else "-"
    figures = [text for text in (words.percent(one.percent), words.amount(one.amount)) if text]
    return lines(sign + " / ".join(figures) if figures else "", one.reason, words.fields(one.more))


def vat_summary(invoice: Invoice, words: Words) -> Table | None:
    """The VAT summary as stated, or as derived."""
    columns = (
        Column(words("Aliquota", "Rate"), numeric=True),
        Column(words("Natura", "Nature"), wide=True),
        Column(words("Riferimento normativo", "Legal reference"), wide=True),
        Column(words("Esigibilità", "VAT due")),
        Column(words("Spese accessorie", "Extra costs"), numeric=True),
        Column(words("Arrotondamento", "Rounding"), numeric=True),
        Column(words("Imponibile", "Taxable"), numeric=True),
        Column(words("Imposta", "Tax"), numeric=True),
    )
    natures = ubl.TAX_CATEGORY if is_ubl(invoice) else italian.NATURE
    rows = [
        (
            words.percent(row.rate),
            words.coded(row.nature, natures),
            lines(row.reference, words.fields(row.more)),
            words.coded(row.due, italian.VAT_DUE),
            words.amount(row.expenses),
            words.amount(row.rounding),
            words.amount(row.taxable),
            words.amount(row.tax),
        )
        for row in invoice.vat_rows
    ]
    return table(words("Riepilogo IVA", "VAT summary"), columns, rows)


def totals(invoice: Invoice, words: Words) -> Facts:
    """Stated and computed totals side by side; neither corrects the other."""
    found, currency = invoice.totals, invoice.currency
    differs = (
        found.stated
        and found.computed
        and found.stated.value is not None
        and found.computed.value is not None
        and found.stated.value != found.computed.value
    )
    stated = words.money(found.stated, currency)
    rows = facts(
        (words("Imponibile", "Taxable"), words.money(found.taxable, currency)),
        (words("Imposta", "Tax"), words.money(found.tax, currency)),
        (
            words("Imposta in altra valuta", "Tax in another currency"),
            words.money(found.second_tax, found.second_currency),
        ),
        (words("Arrotondamento", "Rounding"), words.money(found.rounding, currency)),
        (words("Totale indicato", "Stated total"), stated),
        (
            words("Totale calcolato", "Computed total"),
            words.money(found.computed, currency) if differs or not stated else "",
        ),
        (words("Già pagato", "Already paid"), words.money(found.prepaid, currency)),
        (words("Da pagare", "To pay"), words.money(found.payable, currency)),
    )
    strong = {words("Totale indicato", "Stated total"), words("Da pagare", "To pay")}
    return Facts(words("Totali", "Totals"), tuple(replace(row, strong=row.label in strong) for row in rows))


def deductions(invoice: Invoice, words: Words) -> Iterator[Table | Facts | None]:
    """Withholdings, pension funds, stamp duty, discounts of the whole document."""
    if invoice.withholdings:
        yield _withholdings(invoice, words)
    if invoice.funds:
        yield _funds(invoice, words)
    if invoice.stamp:
        unknown = words("importo non indicato", "amount not given")
        rows = facts(
            (words("Virtuale", "Virtual"), words.label(invoice.stamp.virtual, italian.YES)),
            (words("Importo", "Amount"), words.money(invoice.stamp.amount, invoice.currency) or unknown),
        )
        yield Facts(words("Bollo (dichiarato)", "Stamp duty (declared)"), rows)
    if invoice.discounts:
        heading = words("Sconti e maggiorazioni sul documento", "Discounts and charges on the document")
        yield Facts(heading, facts(("", discounts_of(invoice.discounts, words))))


def _withholdings(invoice: Invoice, words: Words) -> Table | None:
    columns = (
        Column(words("Tipo", "Kind"), wide=True),
        Column(words("Causale", "Reason")),
        Column(words("Aliquota", "Rate"), numeric=True),
        Column(words("Importo", "Amount"), numeric=True),
    )
    rows = [
        (words.coded(one.kind, italian.WITHHOLDING), one.reason, words.percent(one.rate), words.amount(one.amount))
        for one in invoice.withholdings
    ]
    return table(words("Ritenute", "Withholdings"), columns, rows)


def _funds(invoice: Invoice, words: Words) -> Table | None:
    columns = (
        Column(words("Cassa", "Fund"), wide=True),
        Column(words("Aliquota", "Rate"), numeric=True),
        Column(words("Imponibile", "Taxable"), numeric=True),
        Column(words("IVA", "VAT"), numeric=True),
        Column(words("Con ritenuta", "Withheld")),
        Column(words("Riferimento", "Reference")),
        Column(words("Contributo", "Contribution"), numeric=True),
    )
    names = {code: (name, name) for code, name in italian.FUND.items()}
    rows = [
        (
            words.coded(one.kind, names),
            words.percent(one.rate),
            words.amount(one.taxable),
            lines(words.percent(one.vat_rate), one.nature),
            words.label(one.withheld, italian.YES),
            one.reference,
            words.amount(one.amount),
        )
        for one in invoice.funds
    ]
    return table(words("Cassa previdenziale", "Pension fund"), columns, rows)


def payments(invoice: Invoice, words: Words) -> Table | Notes | None:
    """Every instalment; where the file has none, that is said."""
    heading = words("Pagamento", "Payment")
    if not invoice.instalments:
        return Notes(heading, (words("Il file non indica come pagare.", "The file does not say how to pay."),))
    columns = (
        Column(words("Scadenza", "Due")),
        Column(words("Modalità", "Method")),
        Column(words("Conto", "Account"), wide=True),
        Column(words("Altro", "More"), wide=True),
        Column(words("Importo", "Amount"), numeric=True),
    )
    methods = ubl.METHOD if is_ubl(invoice) else italian.METHOD
    rows = [
        (
            words.day(one.due) or words("scadenza non indicata", "no due date given"),
            words.coded(one.method, methods),
            lines(_account(one, words), one.bank, one.payee),
            lines(words.coded(one.terms, italian.TERMS), words.fields(one.more)),
            words.amount(one.amount),
        )
        for one in invoice.instalments
    ]
    return table(heading, columns, rows)


def _account(one: Instalment, words: Words) -> str:
    """A collection's IBAN is often the payer's: it is never offered as the seller's account."""
    if one.iban and one.payers_bank:
        return words("Banca d'appoggio", "Payer's bank") + f": {one.iban}"
    return one.iban
