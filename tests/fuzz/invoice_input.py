"""Files that suppliers wrote, as functions of any bytes: reading, checking and printing them raises nothing.

What is answered must keep what it promises: values are numbers, names are safe, pages hold no control characters.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from easytracking_sync.invoices.envelope import begins_like_xml
from easytracking_sync.invoices.invoice import Invoice
from easytracking_sync.invoices.limits import MOST_BODIES
from easytracking_sync.invoices.reading import Reading, Verdict, read, read_document
from easytracking_sync.invoices.sdi_metadata import agreements, read_sdi_metadata
from easytracking_sync.invoices.sheets.building import sheet_of, sheet_of_fields
from easytracking_sync.invoices.sheets.page import print_page
from easytracking_sync.invoices.sheets.provenance import Provenance
from easytracking_sync.invoices.sheets.sheet import Language, Sheet
from easytracking_sync.invoices.sheets.terminal import print_text
from easytracking_sync.invoices.signatures import check_signatures, signatures_inside
from easytracking_sync.invoices.sums import hundredths, next_due, signed_total
from easytracking_sync.safe_file_names import safe_name
from easytracking_sync.terms import FileType

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PRINTED_BODIES = 3


def invoice(data: bytes) -> None:
    """A file is read; what is understood is printed."""
    reading = read(data)
    assert (reading.reason is None) == (reading.verdict is not Verdict.NOT_UNDERSTOOD) or not reading.invoices
    assert bool(reading.invoices) <= (reading.verdict in {Verdict.UNDERSTOOD, Verdict.REPAIRED, Verdict.PARTIAL})
    assert not reading.content or begins_like_xml(reading.content)
    assert len(reading.invoices) <= MOST_BODIES
    names = [one.safe_name.casefold() for found in reading.invoices for one in found.attachments]
    assert len(set(names)) == len(names)
    for found in reading.invoices:
        _promises(found)
    _print(reading)
    document = read_document({FileType.FA: data, FileType.FU: reading.content})
    assert document is not None


def envelope(data: bytes) -> None:
    """A signed envelope is checked; SDI's metadata are read."""
    check_signatures([data], received=NOON)
    signatures_inside(read(data).xml_signatures)
    metadata = read_sdi_metadata(data)
    if metadata is not None:
        agreements(metadata, data, "", "")


def _promises(found: Invoice) -> None:
    numbers = [row.tax for row in found.vat_rows] + [line.total for line in found.lines]
    assert all(number is None or number.value is None or number.value.is_finite() for number in numbers)
    whole = signed_total(found)
    if whole is not None:
        hundredths(whole)
        assert whole <= 0 or not found.credit_note
    next_due(found.instalments, date(2026, 11, 22))
    assert all(safe_name(one.safe_name) == one.safe_name for one in found.attachments)
    assert all(one.size == len(one.content) for one in found.attachments)


def _print(reading: Reading) -> None:
    signatures = (*check_signatures(reading.envelopes), *signatures_inside(reading.xml_signatures))
    provenance = Provenance(sha256=reading.sha256, verdict=reading.verdict, signatures=signatures)
    sheets = [sheet_of(found, Language.ITALIAN, provenance) for found in reading.invoices[:PRINTED_BODIES]]
    for sheet in sheets or [sheet_of_fields(reading, Language.ENGLISH, provenance)]:
        _printed(sheet)


def _printed(sheet: Sheet) -> None:
    assert not CONTROLS.search(print_page(sheet))
    assert print_text(sheet).replace("\n", "").isprintable()
