"""How much of one file the reader takes on. What is beyond stays stored and can be downloaded; it is not read."""

from __future__ import annotations

from typing import Final

MOST_FILE_BYTES: Final = 128 * 1024 * 1024
"""A file as it was stored; base64 around a signature makes it a third larger than its content each time."""

MOST_XML_BYTES: Final = 64 * 1024 * 1024
"""The content of all envelopes. 100 MB of attachment were read in 0.2 s, but took 450 MB of memory."""

MOST_LAYERS: Final = 6
"""Envelopes around envelopes: base64 twice around two signatures needs four."""

MOST_DEPTH: Final = 40
"""Elements within elements. The schemas reach 8 (FatturaPA) and 12 (UBL); XAdES signatures reach 14."""

MOST_ELEMENTS: Final = 500_000
"""Elements of one file: 500 lines of an invoice make about 8,000."""

MOST_ATTRIBUTES: Final = 100_000
"""Attributes of one file, all elements together."""

MOST_BODIES: Final = 1_000
"""Invoices in one file that are read; the remark says how many there are."""

MOST_BER_ELEMENTS: Final = 100_000
"""Elements of one signed envelope. Content in segments of 1,000 bytes makes 5,000 for SDI's 5 MB."""

MOST_BER_DEPTH: Final = 60
"""Elements within elements of a signed envelope; real ones reach 20."""

MOST_SIGNERS: Final = 20
"""Signers of one envelope whose signatures are checked."""

MOST_NUMBER_SIGNS: Final = 40
"""Characters of a number. The schemas allow 21; text that is longer stays text."""

MOST_FIELD_SIGNS: Final = 20_000
"""Characters of one field that a page or a PDF shows; the file itself holds the rest."""

MOST_SHEET_ROWS: Final = 5_000
"""Rows of one table that a page or a PDF shows; the file itself holds the rest."""
