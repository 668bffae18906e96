"""Signatures are checked question by question, and what cannot be told is unknown."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from tests.invoices import signed as make
from tests.invoices.signed import FROM, ISSUER, RSA, THEN, TO, Signing, signed
from tests.invoices.written import CORPUS, MISSING, ORDINARY, changed

from easytracking_sync.errors import UsageError
from easytracking_sync.invoices.certificates import Anchors, read_anchors
from easytracking_sync.invoices.reading import read
from easytracking_sync.invoices.signatures import (
    Answer,
    Kind,
    Signature,
    TimeSource,
    check_signatures,
    signatures_inside,
)

XML = ORDINARY.encode()
PLAIN = Signing(XML)


def only(data: bytes, **more: object) -> Signature:
    found = check_signatures([data], **more)  # type: ignore[arg-type]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    "how",
    [
        PLAIN,
        replace(PLAIN, with_attributes=False),
        replace(PLAIN, in_order=False),
        replace(PLAIN, by_key_identifier=True),
        replace(PLAIN, pss=True),
        replace(PLAIN, key=make.CURVE, certificate=make.certificate(make.CURVE)),
        replace(PLAIN, content_type=make.TST_INFO),
    ],
    ids=["RSA", "no attributes", "attributes out of order", "key identifier", "PSS", "ECDSA", "odd content type"],
)
def test_a_signature_that_is_right_is_intact(how: Signing) -> None:
    found = only(signed(how))
    assert (found.intact, found.weak, found.kind) == (Answer.YES, False, Kind.ENVELOPE)


@pytest.mark.parametrize("how", [PLAIN, replace(PLAIN, with_attributes=False), replace(PLAIN, pss=True)])
def test_a_changed_content_is_not_intact(how: Signing) -> None:
    assert only(signed(how).replace(b"122.00", b"922.00")).intact is Answer.NO


def test_a_changed_attribute_is_not_intact() -> None:
    told = make.utc(THEN)
    data = signed(PLAIN)
    assert told in data
    assert only(data.replace(told, make.utc(THEN.replace(year=2020)))).intact is Answer.NO


def test_another_key_than_the_certificates_is_not_intact() -> None:
    other = make.certificate(make.OLD_RSA)
    assert only(signed(replace(PLAIN, certificate=other))).intact is Answer.NO


def test_without_the_signers_certificate_nothing_can_be_told() -> None:
    found = only(signed(replace(PLAIN, embedded=())))
    assert (found.intact, found.bound, found.valid_then) == (Answer.UNKNOWN,) * 3
    assert found.certificate is None


def test_without_the_content_nothing_can_be_told() -> None:
    assert only(signed(replace(PLAIN, detached=True))).intact is Answer.UNKNOWN


def test_a_damaged_envelope_is_unknown_and_no_error() -> None:
    found = only(signed(PLAIN)[:-200])
    assert (found.intact, found.certificate) == (Answer.UNKNOWN, None)


def test_who_signed_is_what_the_certificate_says() -> None:
    certificate = only(signed(PLAIN)).certificate
    assert certificate is not None
    holder = certificate.holder
    assert (holder.name, holder.tax_code, certificate.issuer) == (
        "Mario Rossi",
        "RSSMRA80A01H501U",
        "Ente di prova CA",
    )
    assert (certificate.qualified, certificate.non_repudiation) == (True, True)
    assert (certificate.valid_from, certificate.valid_to) == (FROM, TO)


def test_who_signed_does_not_get_into_a_log() -> None:
    found = only(signed(PLAIN))
    assert "Rossi" not in repr(found)
    assert "RSSMRA" not in repr(found)


def test_a_certificate_that_expired_since_was_valid_then() -> None:
    """Nearly every archived invoice has one; compared with today all of them would be called expired."""
    found = only(signed(PLAIN))
    assert (found.time, found.time_source, found.valid_then) == (THEN, TimeSource.CLAIM, Answer.YES)


@pytest.mark.parametrize("claimed", [datetime(2017, 6, 1, tzinfo=UTC), datetime(2021, 6, 1, tzinfo=UTC)])
def test_a_certificate_that_was_not_valid_then_is_told(claimed: datetime) -> None:
    assert only(signed(replace(PLAIN, claimed=claimed))).valid_then is Answer.NO


def test_without_a_time_validity_is_unknown() -> None:
    found = only(signed(replace(PLAIN, claimed=None)))
    assert (found.time, found.time_source, found.valid_then) == (None, TimeSource.NONE, Answer.UNKNOWN)


def test_no_signature_is_younger_than_the_documents_arrival() -> None:
    """A claim after the certificate's end counts as the arrival, which was before it."""
    late = signed(replace(PLAIN, claimed=datetime(2021, 6, 1, tzinfo=UTC)))
    assert only(late, received=datetime(2020, 12, 1, tzinfo=UTC)).valid_then is Answer.YES


def test_a_timestamp_that_checks_outweighs_the_claim() -> None:
    moment = datetime(2019, 3, 1, 12, 5, tzinfo=UTC)
    found = only(signed(replace(PLAIN, unsigned=(make.stamp(moment),))))
    assert (found.time, found.time_source) == (moment, TimeSource.TIMESTAMP)


def test_a_timestamp_over_something_else_is_not_believed() -> None:
    found = only(signed(replace(PLAIN, unsigned=(make.stamp(THEN.replace(year=2020), wrong=True),))))
    assert (found.time, found.time_source) == (THEN, TimeSource.CLAIM)


def test_a_timestamp_that_nobody_signed_is_not_believed() -> None:
    honest = make.stamp(THEN.replace(year=2020))

    def forged(signature: bytes) -> bytes:
        data: bytes = honest(signature)
        return data.replace(b"20200301120000Z", b"20180301120000Z")

    found = only(signed(replace(PLAIN, unsigned=(forged,))))  # type: ignore[arg-type]
    assert found.time_source is TimeSource.CLAIM


@pytest.mark.parametrize(
    ("named", "bound"),
    [(b"", Answer.YES), (bytes(32), Answer.NO), (None, Answer.UNKNOWN)],
    ids=["this", "other", "none"],
)
def test_a_signature_names_its_certificate_another_or_none(named: bytes | None, bound: Answer) -> None:
    """Plain S/MIME signatures name none: that is unknown, and nothing to warn of."""
    assert only(signed(replace(PLAIN, names_certificate=named))).bound is bound


@pytest.mark.parametrize(
    "how", [replace(PLAIN, sha1=True), replace(PLAIN, key=make.OLD_RSA, certificate=make.certificate(make.OLD_RSA))]
)
def test_sha_1_and_short_keys_are_weak_and_still_checked(how: Signing) -> None:
    found = only(signed(how))
    assert (found.intact, found.weak) == (Answer.YES, True)


def test_every_signer_of_every_envelope_is_told_with_its_layer() -> None:
    inner = signed(PLAIN)
    outer = signed(replace(PLAIN, content=inner, key=make.CURVE, certificate=make.certificate(make.CURVE)))
    found = check_signatures(read(outer).envelopes)
    assert [(one.layer, one.intact) for one in found] == [(1, Answer.YES), (2, Answer.YES)]


@pytest.mark.skipif(not CORPUS.is_dir(), reason=MISSING)
def test_countersignatures_are_counted() -> None:
    data = (CORPUS / "p7m" / "dss__counterSig.p7m").read_bytes()
    assert [one.countersigners for one in check_signatures([data])] == [1]
    assert only(signed(PLAIN)).countersigners == 0


ROOT = make.certificate(make.AUTHORITY, holder=ISSUER, ca=True)


def anchors(*made: x509.Certificate) -> Anchors:
    return read_anchors(make.pem(*made), "anchors.pem")


def test_without_anchors_the_issuer_is_not_checked() -> None:
    """Real invoices embed the signer's certificate alone."""
    assert only(signed(PLAIN)).trusted is Answer.UNKNOWN


def test_an_issuer_among_the_anchors_is_trusted_and_another_is_not() -> None:
    stranger = make.certificate(make.CURVE, signed_by=make.CURVE, holder=ISSUER, ca=True)
    assert only(signed(PLAIN), anchors=anchors(ROOT)).trusted is Answer.YES
    assert only(signed(PLAIN), anchors=anchors(stranger)).trusted is Answer.NO


def test_an_authority_between_signer_and_anchor_may_come_in_the_envelope_and_nobody_else_may_issue() -> None:
    between = make.named("Sub CA")
    for ca, trusted in ((True, Answer.YES), (False, Answer.NO)):
        middle = make.certificate(make.CURVE, holder=between, ca=ca)
        holder = make.certificate(RSA, signed_by=make.CURVE, issuer=between)
        how = replace(PLAIN, certificate=holder, embedded=(make.der(holder), make.der(middle)))
        assert only(signed(how), anchors=anchors(ROOT)).trusted is trusted


def test_an_anchor_that_was_not_valid_then_does_not_count() -> None:
    late = signed(replace(PLAIN, claimed=datetime(2022, 1, 1, tzinfo=UTC)))
    assert only(late, anchors=anchors(ROOT)).trusted is Answer.NO


@pytest.mark.parametrize("text", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_of_anchors_without_certificates_is_named(text: bytes) -> None:
    with pytest.raises(UsageError, match=r"anchors\.pem"):
        read_anchors(text, "anchors.pem")


def test_a_signature_inside_the_xml_is_shown_and_not_verified() -> None:
    certificate = base64.b64encode(make.der(make.DEFAULT)).decode()
    inside = (
        f"<ds:Signature xmlns:ds='urn:ds'><ds:X509Certificate>{certificate}</ds:X509Certificate>"
        f"<SigningTime>2019-03-01T12:00:00Z</SigningTime></ds:Signature></p:FatturaElettronica>"
    )
    found = signatures_inside(read(changed(("</p:FatturaElettronica>", inside))).xml_signatures)
    assert [(one.kind, one.intact, one.time, one.valid_then) for one in found] == [
        (Kind.INSIDE, Answer.UNKNOWN, THEN, Answer.YES)
    ]
    assert found[0].certificate is not None
    assert found[0].certificate.holder.name == "Mario Rossi"


@pytest.mark.parametrize("inside", ["", "<X509Certificate>junk</X509Certificate>", "<SigningTime>soon</SigningTime>"])
def test_a_signature_inside_the_xml_that_says_nothing_is_unknown(inside: str) -> None:
    data = changed(("</p:FatturaElettronica>", f"<Signature>{inside}</Signature></p:FatturaElettronica>"))
    found = signatures_inside(read(data).xml_signatures)
    assert [(one.certificate, one.time) for one in found] == [(None, None)]


@pytest.mark.skipif(not CORPUS.is_dir(), reason=MISSING)
@pytest.mark.parametrize("path", sorted((CORPUS / "p7m").glob("*")), ids=lambda path: path.name)
def test_real_signatures_are_intact_as_openssl_says(path: Path) -> None:
    """Those that OpenSSL 3.0 refuses are its strictness: attributes out of DER order, PSS of another digest."""
    found = check_signatures(read(path.read_bytes()).envelopes)
    expected = {
        "slamdunk-p7m__TAMPERED.txt.p7m": [Answer.UNKNOWN],  # its envelope is damaged
        "dss__cades-double-signing-certificate.p7m": [Answer.UNKNOWN],  # detached
        "dss__cades-duplicated-signed-attrs.p7m": [Answer.UNKNOWN],  # detached
        "dss__malformed-cades.p7m": [],  # no envelope at all
        "odoo-viewer__test-bad.xml.p7m": [],
        "dss__Double-C-B-B-basic.p7m": [Answer.YES, Answer.YES],
    }
    assert [one.intact for one in found] == expected.get(path.name, [Answer.YES])
    if "IT0" in path.name or "test.xml" in path.name:
        assert [one.valid_then for one in found] == [Answer.YES]
