"""The PDF: every value, the original inside, the same bytes each time, and texts that are never markup."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zlib
from datetime import date
from pathlib import Path

import pytest
from tests.invoices.signed import Signing, signed
from tests.invoices.test_invoices_corpus import invoices_of
from tests.invoices.test_invoices_sheets import sheet, squeezed
from tests.invoices.written import CORPUS, MISSING, ORDINARY, SIMPLIFIED, UBL

from easytracking_sync.errors import UsageError
from easytracking_sync.invoices.invoice import Format
from easytracking_sync.invoices.sheets.building import sheet_of
from easytracking_sync.invoices.sheets.pdf import UNKNOWN_SIGN, Original, print_pdf
from easytracking_sync.invoices.sheets.sheet import Language, Sheet, mapped, texts_of

pytest.importorskip("typst", reason="the extra `pdf` is not installed")

XML = ORDINARY.encode()
STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
reads_pdf = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not here")


def streams(pdf: bytes) -> list[bytes]:
    found = []
    for raw in STREAM.findall(pdf):
        try:
            found.append(zlib.decompress(raw))
        except zlib.error:
            found.append(raw)
    return found


def text_of(pdf: bytes, folder: Path) -> str:
    path = folder / "a.pdf"
    path.write_bytes(pdf)
    run = subprocess.run(["pdftotext", "-raw", str(path), "-"], capture_output=True, check=True)
    return squeezed(run.stdout.decode().replace("\u200b", ""))


def missing_from(pdf: bytes, made: Sheet, folder: Path) -> list[str]:
    """Words that are not there: lines of neighbouring cells mix in what pdftotext gives."""
    printed = text_of(pdf, folder)
    words = [word for text in texts_of(made) for word in text.split()]
    return [word for word in words if len(word) <= 36 and word not in printed]


@reads_pdf
@pytest.mark.parametrize("text", [ORDINARY, SIMPLIFIED, UBL], ids=["ordinary", "simplified", "UBL"])
@pytest.mark.parametrize("language", Language)
def test_a_pdf_holds_every_value_of_its_sheet(text: str, language: Language, tmp_path: Path) -> None:
    made = sheet(text=text, language=language)
    assert missing_from(print_pdf(made), made, tmp_path) == []


@reads_pdf
@pytest.mark.skipif(not CORPUS.is_dir(), reason=MISSING)
def test_the_pdf_of_real_invoices_holds_every_value(tmp_path: Path) -> None:
    """Every tenth: all of them take too long."""
    for path, reading in invoices_of(*Format)[::10]:
        made = sheet_of(reading.invoices[0], Language.ITALIAN)
        assert missing_from(print_pdf(made), made, tmp_path) == [], path.name


@pytest.mark.parametrize("content", [XML, signed(Signing(XML)), bytes(range(256)), XML.decode().encode("latin-1")])
def test_the_original_is_inside_byte_for_byte(content: bytes) -> None:
    pdf = print_pdf(sheet(), original=Original("IT1_1.xml.p7m", content))
    assert content in streams(pdf)
    assert b"IT1_1.xml.p7m" in pdf


def test_the_pdf_says_that_it_is_pdf_a_3() -> None:
    pdf = print_pdf(sheet(), original=Original("a.xml", XML, "text/xml", "the invoice"))
    told = b"".join(streams(pdf))
    assert re.search(rb"pdfaid:part(>|=\")3", told)
    assert re.search(rb"/AFRelationship\s*/Source", pdf) or b"/AFRelationship/Source" in told


def test_the_same_sheet_gives_the_same_bytes() -> None:
    made, original = sheet(), Original("a.xml", XML)
    first = print_pdf(made, made=date(2026, 11, 2), original=original)
    assert first == print_pdf(made, made=date(2026, 11, 2), original=original)
    assert first != print_pdf(made, made=date(2026, 11, 3), original=original)


@reads_pdf
def test_texts_are_data_and_never_markup(tmp_path: Path) -> None:
    hostile = '#read("/etc/passwd") #eval("1+1") $x$ *bold* <label> @ref // \\u{41} ]]'
    made = sheet(("Consulenza", hostile.replace("<", "&lt;")))
    printed = text_of(print_pdf(made), tmp_path)
    assert squeezed(hostile) in printed


@reads_pdf
def test_what_the_fonts_lack_becomes_a_square_and_the_pdf_is_still_made(tmp_path: Path) -> None:
    pdf = print_pdf(sheet(("Consulenza", "perché 😀 مرحبا 漢字")))
    printed = text_of(pdf, tmp_path)
    assert UNKNOWN_SIGN in printed
    assert "perché" in printed
    assert re.search(rb"pdfaid:part(>|=\")3", b"".join(streams(pdf)))


@reads_pdf
def test_characters_that_cannot_be_seen_are_left_out(tmp_path: Path) -> None:
    made = mapped(sheet(), lambda text: text.replace("Consulenza", "Con\x1b\u202e\u200dsulenza"))
    assert "Consulenza" in text_of(print_pdf(made), tmp_path)


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(UsageError, match=r"easytracking-sync\[pdf\]"):
        print_pdf(sheet())
