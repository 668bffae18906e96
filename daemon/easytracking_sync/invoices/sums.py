"""Sums and checks for the eye: nothing stated is corrected, differences are remarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from easytracking_sync.invoices.invoice import Discount, Format, Instalment, Invoice, Line, Party, VatRow, Withholding
from easytracking_sync.invoices.remarks import Flag, Remark
from easytracking_sync.invoices.scalars import CENT, Day, Number, computed, divided, product, rounded, sum_of, total

HUNDRED: Final = Decimal(100)
ONE: Final = Decimal(1)


def summed_total(rows: Sequence[VatRow], rounding: Number | None) -> Number | None:
    """Taxable and tax of every row and the document's rounding; None where a row lacks either.

    A row's own rounding is never added: some makers have included it already.
    """
    taxable, tax = sum_of(row.taxable for row in rows), sum_of(row.tax for row in rows)
    if taxable is None or tax is None:
        return None
    extra = rounding.value if rounding and rounding.value is not None else Decimal(0)
    return computed(total((taxable, tax, extra)))


def summed(numbers: Iterable[Number | None]) -> Number | None:
    """Their sum, marked computed."""
    value = sum_of(numbers)
    return None if value is None else computed(value)


def payable(
    instalments: Sequence[Instalment],
    whole: Number | None,
    withholdings: Sequence[Withholding],
    rows: Sequence[VatRow],
) -> Number | None:
    """What is to be paid: the instalments' sum, else the total without what is withheld and without split VAT."""
    amounts = [one.amount for one in instalments if one.amount and one.amount.value is not None]
    if amounts:
        return amounts[0] if len(amounts) == 1 else summed(amounts)
    if whole is None or whole.value is None:
        return None
    kept = [one.amount for one in withholdings] + [row.tax for row in rows if row.due == "S"]
    if not kept:
        return computed(whole.value)
    less = sum_of(kept)
    return None if less is None else computed(whole.value - less)


def line_difference(line: Line, *, discounts_on_line: bool = False) -> Decimal | None:
    """Stated total less price x quantity, discounts counted; None where it cannot be said.

    FatturaPA's discounts change the price, in order. UBL's are amounts of the whole line (`discounts_on_line`).
    """
    price, stated = _known(line.price), _known(line.total)
    quantity = ONE if line.quantity is None else _known(line.quantity)
    if price is None or stated is None or quantity is None:
        return None
    if discounts_on_line:
        expected = _line_by_amounts(line, product(price, quantity))
    else:
        for discount in line.discounts:
            price = None if price is None else _discounted(price, discount)
        expected = None if price is None else product(price, quantity)
    return None if expected is None else stated - expected


def _line_by_amounts(line: Line, gross: Decimal) -> Decimal | None:
    base = ONE if line.price_for is None else _known(line.price_for)
    if not base:
        return None
    amounts = [_known(discount.amount) for discount in line.discounts]
    if None in amounts:
        return None
    signed = (
        amount if one.charge else -amount for one, amount in zip(line.discounts, amounts, strict=True) if amount
    )
    return total((divided(gross, base), *signed))


def signed_total(invoice: Invoice) -> Decimal | None:
    """For sums over invoices: credit notes count negative whatever their sign is, all others as written."""
    whole = invoice.totals.total
    if whole is None or whole.value is None:
        return None
    return -abs(whole.value) if invoice.credit_note else whole.value


def hundredths(value: Decimal) -> int:
    """An amount as the tables store it."""
    return int(rounded(value) * 100)


def next_due(instalments: Sequence[Instalment], today: date) -> Instalment | None:
    """What a list shows: the next instalment that is not past, else the last; None where none has a date."""
    dated = [(one.due.value, number) for number, one in enumerate(instalments) if one.due and one.due.value]
    ahead = [(day, number) for day, number in dated if day >= today]
    if not dated:
        return None
    return instalments[min(ahead)[1] if ahead else max(dated)[1]]


def valid_iban(iban: str) -> bool:
    """The check of ISO 13616: letters as numbers, the first four at the end, 1 modulo 97."""
    plain = "".join(iban.split()).upper()
    if not (plain.isascii() and plain.isalnum() and 15 <= len(plain) <= 34):
        return False
    digits = "".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])
    return int(digits) % 97 == 1


def remarks_on(invoice: Invoice) -> Iterator[Remark]:
    """Everything about one invoice that a person should look at."""
    yield from _missing(invoice)
    yield from _unread(invoice)
    stated, summed_up = invoice.totals.stated, invoice.totals.computed
    if stated and summed_up and stated.value is not None and summed_up.value is not None:
        difference = stated.value - summed_up.value
        if difference:
            yield Remark(Flag.TOTAL_DIFFERS, f"{difference.normalize():f}")
    for row in invoice.vat_rows:
        if row.rounding and row.rounding.value:
            yield Remark(Flag.ROUNDING_UNCLEAR, row.rounding.text)
    on_line = invoice.format in {Format.UBL_INVOICE, Format.UBL_CREDIT_NOTE}
    for line in invoice.lines:
        difference = line_difference(line, discounts_on_line=on_line) or Decimal(0)
        if abs(difference) > CENT:
            yield Remark(Flag.LINES_DIFFER, line.number)
    for iban in dict.fromkeys(one.iban for one in invoice.instalments):
        if iban and not valid_iban(iban):
            yield Remark(Flag.IBAN_INVALID, iban)


def _discounted(price: Decimal, discount: Discount) -> Decimal | None:
    """The price after one discount; an amount outweighs a percentage."""
    sign = ONE if discount.charge else -ONE
    if discount.amount is not None:
        return None if discount.amount.value is None else price + sign * discount.amount.value
    if discount.percent is not None:
        if discount.percent.value is None:
            return None
        return divided(product(price, HUNDRED + sign * discount.percent.value), HUNDRED)
    return price


def _missing(invoice: Invoice) -> Iterator[Remark]:
    wanted = {
        "type": invoice.type_code,
        "number": invoice.number,
        "date": invoice.day,
        "seller": invoice.seller != Party(),
        "buyer": invoice.buyer != Party(),
        "total": invoice.totals.total,
    }
    yield from (Remark(Flag.MISSING, name) for name, there in wanted.items() if not there)


def _unread(invoice: Invoice) -> Iterator[Remark]:
    for day in _days(invoice):
        if day.value is None:
            yield Remark(Flag.NOT_A_DATE, day.text)
        elif day.odd:
            yield Remark(Flag.ODD_YEAR, day.text)
    for number in _numbers(invoice):
        if number.value is None:
            yield Remark(Flag.NOT_A_NUMBER, number.text)


def _days(invoice: Invoice) -> Iterator[Day]:
    found = [invoice.day, *(one.due for one in invoice.instalments), *(one.day for one in invoice.references)]
    found += [day for line in invoice.lines for day in (line.period_start, line.period_end)]
    yield from dict.fromkeys(day for day in found if day)


def _numbers(invoice: Invoice) -> Iterator[Number]:
    found = [invoice.totals.stated, invoice.totals.rounding, *(one.amount for one in invoice.instalments)]
    found += [number for row in invoice.vat_rows for number in (row.rate, row.taxable, row.tax)]
    found += [number for line in invoice.lines for number in (line.quantity, line.price, line.total, line.rate)]
    found += [number for one in invoice.withholdings for number in (one.amount, one.rate)]
    found += [number for one in invoice.funds for number in (one.amount, one.taxable, one.rate)]
    discounts = (*invoice.discounts, *(discount for line in invoice.lines for discount in line.discounts))
    found += [number for one in discounts for number in (one.amount, one.percent)]
    yield from dict.fromkeys(number for number in found if number)


def _known(number: Number | None) -> Decimal | None:
    return number.value if number else None
