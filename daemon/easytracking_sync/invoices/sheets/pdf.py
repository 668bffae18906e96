"""The sheet as a PDF/A-3 with the original file inside. Needs the extra `pdf`; the only module that knows typst.

The same sheet and the same original give the same bytes. Only the fonts that typst brings are used, nothing is loaded
from elsewhere, and texts are data, never markup.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import date
from importlib.resources import files
from typing import Any, Final

from easytracking_sync.errors import Permanent, UsageError
from easytracking_sync.invoices.sheets.sheet import Sheet, mapped

STANDARDS: Final[tuple[list[str], ...]] = (["a-3b"], [])
UNKNOWN_SIGN: Final = "\u25a1"
EARLIEST: Final = date(1990, 1, 1)
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\uffff\ud800-\udfff]"
)
_UNCERTAIN: Final = re.compile("[^\n\x20-\x7e\u00a0-\u017f\u0218-\u021b\u2010-\u2026\u20ac\u2122\u25a1]")
_MISSING: Final = "for PDF the extra `pdf` is needed: pip install 'easytracking-sync[pdf]'"


class NotPrinted(Permanent):
    """This sheet cannot be made into a PDF; the HTML page still can be had."""


@dataclass(frozen=True, slots=True)
class Original:
    """The file that goes into the PDF: the bytes as they were stored, and a safe name."""

    name: str
    content: bytes
    media_type: str = "application/octet-stream"
    description: str = ""


_LONG: Final = re.compile(r"\S{36}")
_BREAK: Final = "\u200b"


def print_pdf(sheet: Sheet, *, made: date = EARLIEST, original: Original | None = None) -> bytes:
    """The PDF, dated `made`. What the fonts lack becomes a square. UsageError without the extra; NotPrinted."""
    try:
        import typst  # noqa: PLC0415  an optional extra
    except ImportError as error:
        raise UsageError(_MISSING) from error
    clean = mapped(sheet, lambda text: _UNPRINTABLE.sub("", text))
    plain = mapped(clean, lambda text: _UNCERTAIN.sub(UNKNOWN_SIGN, text))
    for standards in STANDARDS:
        for candidate in (_breakable(clean), _breakable(plain)):
            try:
                return _compiled(typst, candidate, made, original, standards)
            except typst.TypstError as error:
                last = str(error)
    raise NotPrinted(f"typst could not set this invoice: {last[:200]}; use the HTML page")


def _breakable(sheet: Sheet) -> Sheet:
    """What is longer than an IBAN without a space may be broken there. typst does the same in twice the time."""
    return mapped(sheet, lambda text: _LONG.sub(lambda found: found[0] + _BREAK, text))


def _compiled(typst: Any, sheet: Sheet, made: date, original: Original | None, standards: list[str]) -> bytes:
    content: dict[str, bytes] = {"main": _template()}
    if original is not None:
        content["original"] = _as_text(original.content)
    compiled = typst.compile(
        content,
        root=str(files(__package__)),  # of files, only those of the content can be seen
        sys_inputs={"sheet": json.dumps(_as_data(sheet, made, original))},
        ignore_system_fonts=True,
        pdf_standards=standards,
        timestamp=0,
    )
    return bytes(compiled)


def _as_data(sheet: Sheet, made: date, original: Original | None) -> dict[str, Any]:
    inside = None
    if original is not None:
        inside = {
            "name": original.name,
            "type": original.media_type,
            "description": original.description,
            "text": _is_text(original.content),
        }
    return {
        "language": sheet.language.value,
        "title": sheet.title,
        "subtitle": sheet.subtitle,
        "badges": [{"text": badge.text, "tone": badge.tone.value} for badge in sheet.badges],
        "blocks": [{"kind": type(block).__name__, **asdict(block)} for block in sheet.blocks],
        "footer": list(sheet.footer),
        "date": [made.year, made.month, made.day],
        "attachment": inside,
    }


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _as_text(content: bytes) -> bytes:
    """As it is where it is UTF-8; else as a list of its bytes: typst takes no other files from memory."""
    return content if _is_text(content) else json.dumps(list(content), separators=(",", ":")).encode()


def _template() -> bytes:
    return files(__package__).joinpath("sheet.typ").read_bytes()
