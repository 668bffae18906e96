"""Signed envelopes written byte by byte, so that every part of one can be left out, moved or spoilt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from tests.invoices.written import PLAIN, SIGNED_DATA, element

SHA256 = bytes.fromhex("0609608648016503040201")
SHA1 = bytes.fromhex("06052b0e03021a")
RSA_KEY = bytes.fromhex("06092a864886f70d010101")
PSS = bytes.fromhex("06092a864886f70d01010a")
MGF1 = bytes.fromhex("06092a864886f70d010108")
ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")
CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
SIGNING_TIME = bytes.fromhex("06092a864886f70d010905")
CERTIFICATE_V2 = bytes.fromhex("060b2a864886f70d010910022f")
TIMESTAMP = bytes.fromhex("060b2a864886f70d010910020e")
COUNTERSIGNATURE = bytes.fromhex("06092a864886f70d010906")
TST_INFO = bytes.fromhex("060b2a864886f70d0109100104")
NULL = b"\x05\x00"

THEN = datetime(2019, 3, 1, 12, 0, tzinfo=UTC)
FROM, TO = datetime(2018, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OLD_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # what old files have
CURVE = ec.generate_private_key(ec.SECP256R1())
AUTHORITY = ec.generate_private_key(ec.SECP256R1())


def named(common: str, **more: str) -> x509.Name:
    oids = {"serial": x509.NameOID.SERIAL_NUMBER, "given": x509.NameOID.GIVEN_NAME, "family": x509.NameOID.SURNAME}
    parts = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common)]
    return x509.Name([*parts, *(x509.NameAttribute(oids[key], value) for key, value in more.items())])


ISSUER = named("Ente di prova CA")
HOLDER = named("Mario Rossi", serial="TINIT-RSSMRA80A01H501U", given="Mario", family="Rossi")


def certificate(
    key: Any = RSA,
    *,
    signed_by: Any = AUTHORITY,
    issuer: x509.Name = ISSUER,
    holder: x509.Name = HOLDER,
    ca: bool = False,
) -> x509.Certificate:
    """A certificate that expired years ago."""
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = x509.CertificateBuilder().subject_name(holder).issuer_name(issuer).public_key(key.public_key())
    builder = (
        builder.serial_number(4711).not_valid_before(FROM).not_valid_after(TO).add_extension(usage, critical=True)
    )
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    statement = element(0x30, element(0x30, bytes.fromhex("060604008e460101")))
    qualified = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.3"), statement)
    return builder.add_extension(qualified, critical=False).sign(signed_by, hashes.SHA256())


def der(made: x509.Certificate) -> bytes:
    return made.public_bytes(serialization.Encoding.DER)


def pem(*made: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in made)


def attribute(oid: bytes, value: bytes) -> bytes:
    return element(0x30, oid, element(0x31, value))


def utc(moment: datetime) -> bytes:
    return element(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


@dataclass(frozen=True)
class Signing:
    """How an envelope is signed; each field can be turned away from what is right."""

    content: bytes
    key: Any = RSA
    certificate: x509.Certificate | None = None
    embedded: Sequence[bytes] | None = None
    with_attributes: bool = True
    in_order: bool = True
    claimed: datetime | None = THEN
    names_certificate: bytes | None = b""
    by_key_identifier: bool = False
    pss: bool = False
    sha1: bool = False
    detached: bool = False
    content_type: bytes = PLAIN
    unsigned: Sequence[bytes] = field(default=())

    @property
    def holder(self) -> x509.Certificate:
        return self.certificate or DEFAULT

    def digest(self, data: bytes) -> bytes:
        return hashlib.new("sha1" if self.sha1 else "sha256", data).digest()


DEFAULT = certificate()


def signed(how: Signing) -> bytes:
    """The envelope."""
    attributes = _attributes(how)
    message = element(0x31, *attributes) if how.with_attributes else how.content
    signature, algorithm = _signature(how, message)
    info = element(
        0x30,
        b"\x02\x01\x01",
        _signer_id(how),
        element(0x30, SHA1 if how.sha1 else SHA256, NULL),
        element(0xA0, *attributes) if how.with_attributes else b"",
        algorithm,
        element(0x04, signature),
        element(0xA1, *(one(signature) if callable(one) else one for one in how.unsigned)) if how.unsigned else b"",
    )
    inside = b"" if how.detached else element(0xA0, element(0x04, how.content))
    embedded = [der(how.holder)] if how.embedded is None else how.embedded
    data = element(
        0x30,
        b"\x02\x01\x01",
        element(0x31, element(0x30, SHA256, NULL)),
        element(0x30, how.content_type, inside),
        element(0xA0, *embedded) if embedded else b"",
        element(0x31, info),
    )
    return element(0x30, SIGNED_DATA, element(0xA0, data))


def _attributes(how: Signing) -> list[bytes]:
    attributes = [
        attribute(CONTENT_TYPE, how.content_type),
        attribute(MESSAGE_DIGEST, element(0x04, how.digest(how.content))),
    ]
    if how.claimed:
        attributes.append(attribute(SIGNING_TIME, utc(how.claimed)))
    if how.names_certificate is not None:
        digest = how.names_certificate or hashlib.sha256(der(how.holder)).digest()
        reference = element(0x30, element(0x30, element(0x30, element(0x04, digest))))
        attributes.append(attribute(CERTIFICATE_V2, reference))
    attributes.sort()
    return attributes if how.in_order else attributes[::-1]


def _signature(how: Signing, message: bytes) -> tuple[bytes, bytes]:
    digest = hashes.SHA1() if how.sha1 else hashes.SHA256()
    if isinstance(how.key, ec.EllipticCurvePrivateKey):
        return how.key.sign(message, ec.ECDSA(digest)), element(0x30, ECDSA_SHA256)
    if how.pss:
        parameters = element(
            0x30,
            element(0xA0, element(0x30, SHA256, NULL)),
            element(0xA1, element(0x30, MGF1, element(0x30, SHA256, NULL))),
            element(0xA2, b"\x02\x01\x20"),
        )
        chosen = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return how.key.sign(message, chosen, digest), element(0x30, PSS, parameters)
    return how.key.sign(message, padding.PKCS1v15(), digest), element(0x30, RSA_KEY, NULL)


def _signer_id(how: Signing) -> bytes:
    if how.by_key_identifier:
        identifier = x509.SubjectKeyIdentifier.from_public_key(how.key.public_key()).digest
        return element(0x80, identifier)
    issuer = how.holder.issuer.public_bytes()
    serial = how.holder.serial_number
    return element(0x30, issuer, element(0x02, serial.to_bytes((serial.bit_length() + 8) // 8, "big")))


def stamp(moment: datetime, *, wrong: bool = False) -> Any:
    """An unsigned attribute with a timestamp over the signature, or over something else."""

    def made(signature: bytes) -> bytes:
        imprint = hashlib.sha256(b"another" if wrong else signature).digest()
        info = element(
            0x30,
            b"\x02\x01\x01",
            bytes.fromhex("06032a0304"),
            element(0x30, element(0x30, SHA256, NULL), element(0x04, imprint)),
            b"\x02\x01\x07",
            element(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode()),
        )
        return attribute(TIMESTAMP, signed(Signing(info, key=CURVE, certificate=STAMPER, content_type=TST_INFO)))

    return made


STAMPER = certificate(CURVE, holder=named("Marca temporale"))
