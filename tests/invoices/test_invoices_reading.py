"""Which file of a document is shown, what makes a verdict `repaired`, and SDI's metadata."""

from __future__ import annotations

import base64
import hashlib

import pytest
from tests.invoices.written import ORDINARY, changed, segmented_envelope, unsigned_envelope

from easytracking_sync.invoices.limits import MOST_BODIES
from easytracking_sync.invoices.reading import READER, Verdict, read, read_document
from easytracking_sync.invoices.remarks import Flag
from easytracking_sync.invoices.sdi_metadata import Agreement, SdiMetadata, agreements, read_sdi_metadata
from easytracking_sync.terms import FileType

XML = ORDINARY.encode()
SIGNED = unsigned_envelope(XML)
DAMAGED = segmented_envelope(XML)[:-12]

METADATA = """<n:FileMetadati xmlns:n="urn:n"><IdentificativoSdI>123</IdentificativoSdI>
<NomeFile>IT1_1.xml.p7m</NomeFile><Hash>{}</Hash><CodiceDestinatario>ABC1234</CodiceDestinatario><Formato>FPR12</Formato></n:FileMetadati>"""


@pytest.mark.parametrize(
    ("data", "flag"),
    [
        (DAMAGED, Flag.SALVAGED),
        (XML.decode().encode("cp1252"), Flag.ENCODING),
        (XML.replace(b"Consulenza", b"Consu\x02lenza"), Flag.CONTROLS),
        (XML.replace(b"</Numero>", b""), Flag.MENDED_XML),
    ],
)
def test_what_had_to_be_mended_makes_the_verdict_repaired(data: bytes, flag: Flag) -> None:
    found = read(data)
    assert found.verdict is Verdict.REPAIRED
    assert flag in {remark.flag for remark in found.remarks}
    assert found.invoices[0].seller.name == "Perché & Figli Srl"


def test_base64_alone_is_a_remark_and_no_repair() -> None:
    found = read(base64.encodebytes(SIGNED))
    assert found.verdict is Verdict.UNDERSTOOD
    assert [(remark.flag, remark.detail) for remark in found.remarks] == [(Flag.BASE64, "1")]


def test_a_reading_bears_the_readers_number_and_the_files_hash() -> None:
    found = read(SIGNED)
    assert (found.reader, found.sha256) == (READER, hashlib.sha256(SIGNED).hexdigest())
    assert found.content == XML
    assert found.envelopes == (SIGNED,)


def test_a_signature_inside_the_xml_is_no_part_of_the_invoice() -> None:
    inside = "<ds:Signature xmlns:ds='urn:ds'><Numero>not this</Numero></ds:Signature></p:FatturaElettronica>"
    found = read(changed(("</p:FatturaElettronica>", inside)))
    assert found.invoices[0].number == "12/A"
    assert len(found.xml_signatures) == 1


@pytest.mark.parametrize(
    ("files", "shown"),
    [
        ({FileType.FA: SIGNED, FileType.FU: XML, FileType.FI: XML}, FileType.FA),
        ({FileType.FA: b"\x30 broken", FileType.FU: XML}, FileType.FU),
        ({FileType.FA: DAMAGED, FileType.FU: XML}, FileType.FU),
        ({FileType.FA: DAMAGED}, FileType.FA),
        ({FileType.FA: DAMAGED, FileType.FU: b"junk"}, FileType.FA),
        ({FileType.FA: b"junk", FileType.FU: b"junk", FileType.FI: XML}, FileType.FI),
        ({FileType.FI: XML}, FileType.FI),
    ],
)
def test_the_original_is_shown_else_the_unsigned_else_the_intermediarys(
    files: dict[FileType, bytes], shown: FileType
) -> None:
    """An original that had to be salvaged stands behind what others unwrapped."""
    found = read_document(files)
    assert found is not None
    assert found.shown == shown


def test_two_unwrappings_of_one_signature_are_compared() -> None:
    for files, same in (
        ({FileType.FA: SIGNED, FileType.FU: XML}, True),
        ({FileType.FA: SIGNED, FileType.FU: XML + b" "}, False),
        ({FileType.FA: SIGNED}, None),
        ({FileType.FA: XML, FileType.FU: XML}, None),
        ({FileType.FA: DAMAGED, FileType.FU: XML}, None),
    ):
        found = read_document(files)
        assert found is not None
        assert found.same_as_unsigned is same
    assert read_document({FileType.MT: b"<a/>"}) is None


def test_metadata_is_read_as_written() -> None:
    found = read_sdi_metadata(METADATA.format("AB" * 32).encode())
    assert found == SdiMetadata("123", "IT1_1.xml.p7m", "ab" * 32, "ABC1234", "FPR12", "", "")


@pytest.mark.parametrize("data", [b"", b"junk", b"<a/>", SIGNED, DAMAGED, b"<!DOCTYPE a><FileMetadati/>"])
def test_what_is_no_metadata_is_none(data: bytes) -> None:
    assert read_sdi_metadata(data) is None


def test_metadata_and_original_agree_in_id_name_and_hash_or_nothing_is_said() -> None:
    """A disagreement is held against nobody: the hash's rule is not confirmed on a real pair."""
    metadata = read_sdi_metadata(METADATA.format(hashlib.sha256(SIGNED).hexdigest().upper()).encode())
    assert metadata is not None
    assert agreements(metadata, SIGNED, "it1_1.XML.p7m", " 123 ") == tuple(Agreement)
    assert agreements(metadata, XML, "other.xml", "124") == ()
    older = read_sdi_metadata(b"<MetadatiInvioFile><IdentificativoSdI>1</IdentificativoSdI></MetadatiInvioFile>")
    assert older is not None
    assert agreements(older, b"", "", "1") == (Agreement.SDI_ID,)


def test_the_header_that_many_bodies_share_is_read_once() -> None:
    """Read anew for each of them, a file of 1 MB took 5 GB."""
    header = "<FatturaElettronicaHeader>" + "<A>1</A>" * 1_000 + "</FatturaElettronicaHeader>"
    bodies = "<FatturaElettronicaBody/>" * (MOST_BODIES + 1)
    found = read(f"<FatturaElettronica>{header}{bodies}</FatturaElettronica>".encode())
    assert len(found.invoices) == MOST_BODIES
    assert [(remark.flag, remark.detail) for remark in found.remarks] == [(Flag.MORE_BODIES, str(MOST_BODIES + 1))]
    assert len({id(invoice.transmission) for invoice in found.invoices}) == 1
    assert len(found.invoices[0].transmission) == 1_000
