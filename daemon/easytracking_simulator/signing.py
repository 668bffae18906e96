"""Signs originals: CMS SignedData that contains the invoice (CAdES-BES, DER), always with the same bytes.

Signatures use ECDSA over P-256 with a nonce derived from the message (RFC 6979), a key and certificate derived from
the seed, and the reception time as signing time. So a document's bytes depend on the seed alone.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from easytracking_simulator.errors import SigningUnavailableError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
except ImportError:  # the optional extra
    _AVAILABLE = False
else:
    _AVAILABLE = True

EPOCH = datetime(2019, 1, 1, tzinfo=UTC)
DATA, SIGNED_DATA = "1.2.840.113549.1.7.1", "1.2.840.113549.1.7.2"
CONTENT_TYPE, DIGEST, TIME = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.5"
CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
SHA256, ECDSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2"
SEQUENCE, SET, OCTETS, OID, INTEGER, UTC_TIME, CONTEXT = 0x30, 0x31, 0x04, 0x06, 0x02, 0x17, 0xA0


def require_signer() -> None:
    """Raise SigningUnavailableError if the optional package for signing is not installed."""
    if not _AVAILABLE:
        raise SigningUnavailableError


def tlv(tag: int, *parts: bytes) -> bytes:
    """One DER value: tag, length, content."""
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


@functools.cache
def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    out = [first * 40 + second]
    for arc in rest:
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        out += reversed(groups)
    return tlv(OID, bytes(out))


@dataclass(frozen=True, slots=True)
class _Identity:
    key: Any
    certificate: bytes  # DER
    issuer: bytes  # DER of its name
    serial: bytes  # DER integer


class Signer:
    """Signs with one key and one self-signed certificate per seed, created at the first signature."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._lock = threading.Lock()
        self._identity: _Identity | None = None

    def sign(self, content: bytes, when: datetime | None) -> bytes:
        """The signed content. SigningUnavailableError without the optional package."""
        require_signer()
        with self._lock:
            identity = self._identity = self._identity or _identity(self._seed)
        attributes = _attributes(content, identity.certificate, when or EPOCH)
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        signature = identity.key.sign(tlv(SET, attributes), algorithm)
        return _signed_data(content, identity, attributes, signature)


def _identity(seed: int) -> _Identity:
    secret = int.from_bytes(hashlib.sha512(f"{seed}/key".encode()).digest()[:31], "big") + 1
    key = ec.derive_private_key(secret, ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "IT"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Easy Tracking simulator"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Firma di prova"),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(secret % 2**63 + 1)
        .not_valid_before(EPOCH)
        .not_valid_after(datetime(2049, 1, 1, tzinfo=UTC))
        .add_extension(usage, critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    serial = certificate.serial_number
    return _Identity(
        key,
        certificate.public_bytes(serialization.Encoding.DER),
        name.public_bytes(),
        tlv(INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1, "big")),
    )


def _attributes(content: bytes, certificate: bytes, when: datetime) -> bytes:
    def attribute(kind: str, value: bytes) -> bytes:
        return tlv(SEQUENCE, oid(kind), tlv(SET, value))

    reference = tlv(SEQUENCE, tlv(SEQUENCE, tlv(SEQUENCE, tlv(OCTETS, hashlib.sha256(certificate).digest()))))
    return b"".join(
        sorted(
            (
                attribute(CONTENT_TYPE, oid(DATA)),
                attribute(DIGEST, tlv(OCTETS, hashlib.sha256(content).digest())),
                attribute(TIME, tlv(UTC_TIME, f"{when:%y%m%d%H%M%S}Z".encode())),
                attribute(CERTIFICATE_V2, reference),
            )
        )
    )


def _signed_data(content: bytes, identity: _Identity, attributes: bytes, signature: bytes) -> bytes:
    digest = tlv(SEQUENCE, oid(SHA256))
    signer = tlv(
        SEQUENCE,
        tlv(INTEGER, b"\x01"),
        tlv(SEQUENCE, identity.issuer, identity.serial),
        digest,
        tlv(CONTEXT, attributes),
        tlv(SEQUENCE, oid(ECDSA_SHA256)),
        tlv(OCTETS, signature),
    )
    signed = tlv(
        SEQUENCE,
        tlv(INTEGER, b"\x01"),
        tlv(SET, digest),
        tlv(SEQUENCE, oid(DATA), tlv(CONTEXT, tlv(OCTETS, content))),
        tlv(CONTEXT, identity.certificate),
        tlv(SET, signer),
    )
    return tlv(SEQUENCE, oid(SIGNED_DATA), tlv(CONTEXT, signed))
