"""Real files of many makers pass through the service, the parcel and the archive byte for byte."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Place

CORPUS = Path(__file__).parents[2].parent / "shared" / "corpus"
ITALY, ROMANIA = 0, 1

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real files is not beside the repository")


def files_in(folder: str) -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted((CORPUS / folder).iterdir()) if path.is_file()]


def test_real_invoices_signatures_and_metadata_are_archived_byte_for_byte(quiet: Place) -> None:
    """BYTE-IDENTITY: broken, signed twice, in old encodings, from Romania. None of them is looked into."""
    metadata = itertools.cycle(files_in("metadata"))
    originals = [
        (name, body, channel)
        for folder, channel in (("fatturapa", ITALY), ("p7m", ITALY), ("ubl-ro", ROMANIA))
        for name, body in files_in(folder)
    ]
    given: dict[int, bytes] = {}
    for number, (name, body, channel) in enumerate(originals, start=1):
        mt_name, mt_body = next(metadata)
        files = {
            "FA": (name, body),
            "MT": (f"{number}_{mt_name}", mt_body),
            "FU": (f"{number}_unsigned.xml", body[::-1]),
        }
        doc_id = quiet.simulator.add_document("demo1", files, fileName=name, countryChannel=channel)
        given[doc_id] = body
    assert len(given) > 100
    quiet.catch_up()
    quiet.expect_all_home()

    folder = quiet.folder / "exported"
    code, _, err = quiet.run("invoices", "export", "--to", str(folder))
    assert code == 0, err
    exported = {hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}
    assert {hashlib.sha256(body).digest() for body in given.values()} <= exported
