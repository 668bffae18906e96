"""What a reader has to say about a file or an invoice besides its values. None of it changes a value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Flag(StrEnum):
    """One kind of remark. The values are stored and printed."""

    # the file had to be mended: the verdict is `repaired`
    SALVAGED = "salvaged"  # the envelope is damaged, the XML was cut out of it
    TRANSCODED = "transcoded"  # the envelope was saved as text in another encoding
    ENCODING = "encoding"  # the declared encoding is not the one used
    CONTROLS = "controls"  # control characters that XML forbids were dropped
    MENDED_XML = "mended-xml"  # tags were not closed or worse
    # an observation
    BASE64 = "base64"  # the file is base64 text, `detail` times
    MORE_BODIES = "more-bodies"  # the file holds more invoices than are read
    MISSING = "missing"  # a part that every invoice has is not there
    NOT_A_NUMBER = "not-a-number"
    NOT_A_DATE = "not-a-date"
    ODD_YEAR = "odd-year"
    TOTAL_DIFFERS = "total-differs"  # stated total and VAT summary
    LINES_DIFFER = "lines-differ"  # quantity x price and the line's total
    ROUNDING_UNCLEAR = "rounding-unclear"  # a VAT row has a rounding: inside or outside is not known
    NET_TAKEN_FOR_GROSS = "net-taken-for-gross"  # simplified invoice whose amount seems to be without VAT
    IBAN_INVALID = "iban-invalid"
    ATTACHMENT_EMPTY = "attachment-empty"
    ATTACHMENT_DAMAGED = "attachment-damaged"
    ATTACHMENT_BASE64_TWICE = "attachment-base64-twice"
    ATTACHMENT_KIND = "attachment-kind"  # its bytes are of another kind than its name says


MENDED = frozenset({Flag.SALVAGED, Flag.TRANSCODED, Flag.ENCODING, Flag.CONTROLS, Flag.MENDED_XML})
"""What makes a verdict `repaired`."""


@dataclass(frozen=True, slots=True)
class Remark:
    """A flag, and where or by how much: a field's name, a line's number, a difference."""

    flag: Flag
    detail: str = ""
