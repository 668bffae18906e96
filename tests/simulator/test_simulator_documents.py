"""The documents are valid by their schemas, correctly signed, and the same for the same seed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from easytracking_simulator import Options, SigningUnavailableError, Simulator, parties, signing

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.conftest import Desk, ManualClock

SCHEMAS = Path(__file__).parents[3] / "shared" / "corpus" / "schema"
needs_schemas = pytest.mark.skipif(not SCHEMAS.is_dir(), reason="the corpus with the official schemas is not there")


class Offline(etree.Resolver):  # type: ignore[misc]  # lxml has no types
    """Resolves the W3C's signature schema from the corpus, without its DOCTYPE."""

    def resolve(self, system_url: str | None, public_id: str | None, context: Any) -> Any:
        if system_url and system_url.endswith("xmldsig-core-schema.xsd"):
            text = (SCHEMAS / "xmldsig-core-schema.xsd").read_text("utf-8")
            start, end = text.index("<!DOCTYPE"), text.index("]>") + 2
            return self.resolve_string(text[:start] + text[end:], context)
        return None


def schema(name: str) -> etree.XMLSchema:
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Offline())
    return etree.XMLSchema(etree.parse(SCHEMAS / name, parser))


def complaints(against: etree.XMLSchema, body: bytes) -> list[str]:
    against.validate(etree.fromstring(body))
    return [str(error) for error in against.error_log]


@pytest.fixture
def varied(clock: ManualClock) -> Simulator:
    options = Options(
        documents=150, romania_share=0.2, intermediary_share=0.3, attachment_share=0.05, max_attachment_bytes=40_000
    )
    return Simulator(options, clock)


@needs_schemas
def test_every_invoice_of_the_italian_channel_is_valid_fatturapa(varied: Simulator) -> None:
    against = schema("FatturaPA_VFPR12_v1.2.3.xsd")
    kinds = set()
    for document in map(varied.document, varied.ids()):
        if document.channel == 0:
            kinds.add(document.document_type)
            for file in varied.files(document.id):
                if file.type in {"FU", "FI"} or (file.type == "FA" and not document.signed):
                    assert complaints(against, file.body) == [], file.name
    assert {"TD01", "TD04", "TD06", "TD24"} <= kinds


@needs_schemas
def test_every_metadata_file_is_valid(varied: Simulator) -> None:
    against = schema("MessaggiTypes_v1.1.xsd")
    for doc_id in varied.ids():
        (metadata,) = [file for file in varied.files(doc_id) if file.type == "MT"]
        assert complaints(against, metadata.body) == []


@needs_schemas
def test_every_invoice_of_the_romanian_channel_is_valid_ubl(varied: Simulator) -> None:
    roots = {
        kind: schema(f"ubl-2.1/maindoc/UBL-{root}-2.1.xsd")
        for kind, root in (("380", "Invoice"), ("381", "CreditNote"))
    }
    found = [document for document in map(varied.document, varied.ids()) if document.channel == 1]
    assert {document.document_type for document in found} == {"380", "381"}
    for document in found:
        assert complaints(roots[document.document_type], varied.files(document.id)[0].body) == []


def test_the_invoice_agrees_with_the_list(varied: Simulator) -> None:
    for document in map(varied.document, varied.ids()):
        if document.channel == 0:
            unsigned = varied.files(document.id)[2].body
            root, element = etree.fromstring(unsigned), document.element()
            assert root.findtext(".//Numero") == element["number"]
            assert root.findtext(".//DatiGeneraliDocumento/Data") == element["data"]
            assert root.findtext(".//TipoDocumento") == element["documentType"]
            assert root.findtext(".//CedentePrestatore//IdCodice") == element["senderPIVA"]
            assert (root.findtext(".//CedentePrestatore//CodiceFiscale") or "") == element["senderCF"]
            assert root.findtext(".//CessionarioCommittente//IdCodice") == element["receiverPIVA"]


def test_the_sums_of_an_invoice_are_correct(varied: Simulator) -> None:
    def cents(text: str | None) -> int:
        return int((text or "").replace(".", ""))

    for document in map(varied.document, varied.ids()):
        if document.channel == 0:
            root = etree.fromstring(varied.files(document.id)[2].body)
            lines = sum(cents(line.text) for line in root.iter("PrezzoTotale"))
            taxable = sum(cents(amount.text) for amount in root.iter("ImponibileImporto"))
            tax = sum(cents(amount.text) for amount in root.iter("Imposta"))
            assert (lines, taxable + tax) == (taxable, cents(root.findtext(".//ImportoTotaleDocumento")))


def test_most_files_are_small_and_a_few_are_large(desk_with: Callable[..., Desk]) -> None:
    simulator = desk_with(documents=400, romania_share=0.0, attachment_share=0.02).simulator
    sizes = sorted(file.size for document in simulator.truth() for file in document.files if file.type == "FU")
    assert 2_000 < sizes[len(sizes) // 2] < 10_000
    assert sizes[0] < 3_000
    assert sizes[-1] > 200_000


def test_senders_have_valid_check_digits(varied: Simulator) -> None:
    for number in {varied.document(doc_id).sender.piva for doc_id in varied.ids()} - {""}:
        if len(number) == 11:
            doubled = [int(d) * (1 + i % 2) for i, d in enumerate(number)]
            assert sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def test_a_tax_code_ends_with_its_check_letter() -> None:
    assert parties.check_letter("RSSMRA70A01H501") == "S"
    assert parties.check_letter("MRTMTT91D08F205") == "J"


def test_some_senders_have_no_tax_code(varied: Simulator) -> None:
    assert {bool(varied.document(doc_id).element()["senderCF"]) for doc_id in varied.ids()} == {True, False}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not there")
def test_a_signed_original_verifies_and_holds_the_unsigned_one(
    desk_with: Callable[..., Desk], tmp_path: Path
) -> None:
    simulator = desk_with(documents=3, p7m_share=1.0, romania_share=0.0).simulator
    for doc_id in simulator.ids():
        original, _, unsigned = simulator.files(doc_id)[:3]
        assert original.name.endswith(".xml.p7m")
        (tmp_path / "in.p7m").write_bytes(original.body)
        command = [
            "openssl",
            "cms",
            "-verify",
            "-noverify",
            "-inform",
            "DER",
            "-binary",
            "-in",
            "in.p7m",
            "-out",
            "out",
        ]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert (tmp_path / "out").read_bytes() == unsigned.body


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not there")
def test_a_modified_signed_original_does_not_verify(desk_with: Callable[..., Desk], tmp_path: Path) -> None:
    simulator = desk_with(documents=1, p7m_share=1.0, romania_share=0.0).simulator
    body = simulator.files(simulator.ids()[0])[0].body.replace(b"FPR12", b"FPR21")
    (tmp_path / "in.p7m").write_bytes(body)
    command = ["openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-in", "in.p7m", "-out", "out"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_without_the_optional_package_only_signed_documents_fail(
    desk_with: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "_AVAILABLE", False)
    assert desk_with(p7m_share=0.0).simulator.truth()
    with pytest.raises(SigningUnavailableError, match=r"pip install 'easytracking-sync\[simulator\]'"):
        desk_with(p7m_share=1.0, romania_share=0.0).simulator.truth()


def test_the_package_imports_without_the_optional_package() -> None:
    code = "import sys; sys.modules['cryptography'] = None; import easytracking_simulator"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_same_seed_gives_the_same_documents(clock: ManualClock) -> None:
    options = Options(documents=40, p7m_share=0.5, romania_share=0.2, attachment_share=0.1, max_attachment_bytes=5000)
    first, second = Simulator(options, clock), Simulator(options, clock)
    assert first.truth() == second.truth()
    assert [first.document(i).json() for i in first.ids()] == [second.document(i).json() for i in second.ids()]


def test_another_seed_gives_other_documents(clock: ManualClock) -> None:
    first, second = (Simulator(Options(documents=5, p7m_share=0.0, seed=seed), clock) for seed in (1, 2))
    assert {f.sha256 for d in first.truth() for f in d.files}.isdisjoint(
        f.sha256 for d in second.truth() for f in d.files
    )


def test_generating_a_document_twice_gives_the_same_bytes(varied: Simulator) -> None:
    for doc_id in varied.ids()[:30]:
        assert varied.files(doc_id) == varied.files(doc_id)
