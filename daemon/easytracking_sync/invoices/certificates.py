"""Certificates and what they verify. The only module that knows cryptography.

A certificate that the library refuses to read is unknown, and so is what depends on it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from easytracking_sync.errors import UsageError
from easytracking_sync.invoices.cms import Algorithm

LEAST_RSA_BITS: Final = 2048
MOST_CHAIN: Final = 5
UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension)
"""What the library raises for keys, names and extensions that it does not take."""

_QC_STATEMENTS: Final = "1.3.6.1.5.5.7.1.3"
_QC_COMPLIANCE: Final = bytes.fromhex("060604008e460101")
_ORGANISATION_ID: Final = x509.ObjectIdentifier("2.5.4.97")
_TAX_CODE: Final = re.compile(r"(?:TIN|VAT)?[A-Z]{2}[-:]([A-Za-z0-9]{5,20})")
_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sha3_224": hashes.SHA3_224,
    "sha3_256": hashes.SHA3_256,
    "sha3_384": hashes.SHA3_384,
    "sha3_512": hashes.SHA3_512,
}


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a certificate names. Shown, never logged: its repr says nothing."""

    name: str = field(default="", repr=False)
    organisation: str = field(default="", repr=False)
    organisation_id: str = field(default="", repr=False)
    tax_code: str = field(default="", repr=False)
    country: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one certificate says of itself."""

    holder: Person
    issuer: str
    valid_from: datetime
    valid_to: datetime
    qualified: bool  # it says that it is a qualified one (QcStatements)
    non_repudiation: bool
    weak_key: bool


def read_certificate(der: bytes) -> Certificate | None:
    """None where it cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what bends the rules for names and extensions is read all the same
        try:
            return _certificate(x509.load_der_x509_certificate(der))
        except UNREADABLE:
            return None


def _certificate(found: x509.Certificate) -> Certificate:
    return Certificate(
        holder=_person(found.subject),
        issuer=_first(found.issuer, x509.NameOID.COMMON_NAME, x509.NameOID.ORGANIZATION_NAME),
        valid_from=found.not_valid_before_utc,
        valid_to=found.not_valid_after_utc,
        qualified=_qualified(found),
        non_repudiation=_non_repudiation(found),
        weak_key=_weak(found),
    )


def verifies(der: bytes, algorithm: Algorithm, digest: str, signature: bytes, message: bytes) -> bool | None:
    """Whether the certificate's key made this signature over the message; None where it cannot be told."""
    make = _HASHES.get(algorithm.digest or digest)
    try:
        key: Any = x509.load_der_x509_certificate(der).public_key()
        if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            key.verify(signature, message)
        elif make is None:
            return None
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, _padding(algorithm), make())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(make()))
        elif isinstance(key, dsa.DSAPublicKey):
            key.verify(signature, message, make())
        else:
            return None
    except InvalidSignature:
        return False
    except UNREADABLE:
        return None
    return True


@dataclass(frozen=True, slots=True)
class Anchors:
    """The issuers that the operator trusts, as DER; none means that nobody's issuer is checked."""

    certificates: tuple[bytes, ...] = field(default=(), repr=False)


def read_anchors(pem: bytes, name: str) -> Anchors:
    """The certificates of a PEM file called `name`. UsageError where it has none or a broken one."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except UNREADABLE as error:
        raise UsageError(
            f"{name}: no certificates in PEM form; put the trusted issuers' certificates there"
        ) from error
    return Anchors(tuple(one.public_bytes(serialization.Encoding.DER) for one in found))


def leads_to(der: bytes, others: Iterable[bytes], anchors: Anchors, moment: datetime | None) -> bool | None:
    """Whether the certificate was issued, over authorities among the others, by an anchor; None without anchors.

    Every issuer is valid at the moment, where one is given. Revocation is not looked at.
    """
    if not anchors.certificates:
        return None
    try:
        current = x509.load_der_x509_certificate(der)
    except UNREADABLE:
        return None
    trusted, between = _loaded(anchors.certificates), [one for one in _loaded(others) if _is_authority(one)]
    for _ in range(MOST_CHAIN):
        if any(current == one for one in trusted) or _issuer(current, trusted, moment):
            return True
        issuer = _issuer(current, between, moment)
        if issuer is None or issuer == current:
            return False
        current = issuer
    return False


def _issuer(
    certificate: x509.Certificate, candidates: Iterable[x509.Certificate], moment: datetime | None
) -> x509.Certificate | None:
    for one in candidates:
        if moment is not None and not one.not_valid_before_utc <= moment <= one.not_valid_after_utc:
            continue
        try:
            certificate.verify_directly_issued_by(one)
        except (InvalidSignature, *UNREADABLE):
            continue
        return one
    return None


def _loaded(ders: Iterable[bytes]) -> list[x509.Certificate]:
    loaded = []
    for der in ders:
        try:
            loaded.append(x509.load_der_x509_certificate(der))
        except UNREADABLE:
            continue
    return loaded


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def _padding(algorithm: Algorithm) -> padding.AsymmetricPadding:
    if algorithm.scheme != "pss":
        return padding.PKCS1v15()
    mask = _HASHES.get(algorithm.mask_digest)
    if mask is None:
        raise ValueError("an unknown mask digest")
    return padding.PSS(padding.MGF1(mask()), algorithm.salt_bytes)


def _person(name: x509.Name) -> Person:
    given, family = _first(name, x509.NameOID.GIVEN_NAME), _first(name, x509.NameOID.SURNAME)
    full = " ".join(part for part in (given, family) if part)
    serial = _TAX_CODE.fullmatch(_first(name, x509.NameOID.SERIAL_NUMBER))
    return Person(
        name=full or _first(name, x509.NameOID.COMMON_NAME, x509.NameOID.PSEUDONYM),
        organisation=_first(name, x509.NameOID.ORGANIZATION_NAME),
        organisation_id=_first(name, _ORGANISATION_ID),
        tax_code=serial[1].upper() if serial else "",
        country=_first(name, x509.NameOID.COUNTRY_NAME),
    )


def _first(name: x509.Name, *oids: x509.ObjectIdentifier) -> str:
    for oid in oids:
        for attribute in name.get_attributes_for_oid(oid):
            return attribute.value if isinstance(attribute.value, str) else attribute.value.decode("utf-8", "replace")
    return ""


def _qualified(certificate: x509.Certificate) -> bool:
    """An extension that cannot be read says nothing: who holds the certificate is known all the same."""
    try:
        extensions = list(certificate.extensions)
    except UNREADABLE:
        return False
    return any(
        one.oid.dotted_string == _QC_STATEMENTS
        and isinstance(one.value, x509.UnrecognizedExtension)
        and _QC_COMPLIANCE in one.value.value
        for one in extensions
    )


def _non_repudiation(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.content_commitment
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False


def _weak(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    return isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_RSA_BITS
