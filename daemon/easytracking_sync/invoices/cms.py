"""Signed envelopes (CMS, RFC 5652; `.p7m`) taken apart. The only module that knows asn1crypto, which has no types.

DER and BER, definite or indefinite lengths, content in one piece or in segments. Nothing is verified here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from asn1crypto import cms, core, tsp  # without tsp, signing-certificate attributes stay undecoded

from easytracking_sync.invoices.ber import bounded
from easytracking_sync.invoices.limits import MOST_SIGNERS
from easytracking_sync.invoices.unreadable import Reason, Unreadable

SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
_FIRST_BYTES: Final = 40
_SET_TAG: Final = b"\x31"
_SIZES: Final = (224, 256, 384, 512)
_NIST: Final = "2.16.840.1.101.3.4.3."
_SHA3_ECDSA: Final = {
    f"{_NIST}{number}": f"sha3_{size}" for number, size in zip((9, 10, 11, 12), _SIZES, strict=True)
}
_SHA3_RSA: Final = {f"{_NIST}{number}": f"sha3_{size}" for number, size in zip((13, 14, 15, 16), _SIZES, strict=True)}
_CONTENT_OCTETS: Final = (core.OctetString, {"explicit": 0, "optional": True})


class _PlainContent(core.Sequence):  # type: ignore[misc]  # asn1crypto has no types
    """The content as octets, whatever type it claims: the library would parse what it knows."""

    _fields = [("content_type", core.ObjectIdentifier), ("content", *_CONTENT_OCTETS)]  # noqa: RUF012  its convention


class _SignedData(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012
        ("version", core.Integer),
        ("digest_algorithms", core.Any),
        ("encap_content_info", _PlainContent),
        ("certificates", cms.CertificateSet, {"implicit": 0, "optional": True}),
        ("crls", core.SetOf, {"implicit": 1, "optional": True, "spec": core.Any}),
        ("signer_infos", cms.SignerInfos),
    ]


class _Envelope(core.Sequence):  # type: ignore[misc]
    _fields = [("content_type", core.ObjectIdentifier), ("content", _SignedData, {"explicit": 0})]  # noqa: RUF012


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How was signed: `scheme` is rsa, pss, ecdsa, dsa, ed25519, ed448 or another name; `digest` may be empty."""

    scheme: str
    digest: str
    salt_bytes: int = 0
    mask_digest: str = ""


@dataclass(frozen=True, slots=True)
class Signer:
    """One SignerInfo: what was signed, with what, and the certificate that belongs to it, if the envelope has it."""

    digest: str
    algorithm: Algorithm
    signature: bytes
    certificate: bytes  # DER; empty where none of the envelope's belongs to this signer
    attributes: tuple[bytes, ...]  # what was signed instead of the content, as it stands and in DER order; or nothing
    message_digest: bytes
    signing_time: datetime | None
    certificate_hashes: tuple[tuple[str, bytes], ...]  # of signing-certificate(-v2): algorithm and hash
    timestamp: bytes  # the token of a signature timestamp; empty where there is none
    countersigners: int


@dataclass(frozen=True, slots=True)
class Signed:
    """An envelope and what is in it; `content` is None where the signature is detached."""

    content: bytes | None
    signers: tuple[Signer, ...]
    certificates: tuple[bytes, ...]


def is_signed(data: bytes) -> bool:
    """Whether the bytes begin like a signed envelope."""
    return data[:1] == b"\x30" and SIGNED_DATA in data[:_FIRST_BYTES]


def content_of(data: bytes) -> bytes:
    """The bytes that were signed. Unreadable where they are not there or the envelope is damaged."""
    try:
        content = _content(_Envelope.load(bounded(data))["content"])
    except Unreadable:
        raise
    except Exception as error:  # the library reads lazily and lets anything out
        raise Unreadable(Reason.UNKNOWN_FORMAT, "damaged envelope") from error
    if content is None:
        raise Unreadable(Reason.DETACHED)
    return content


def opened(data: bytes) -> Signed:
    """The envelope with its signers. Unreadable where any part of it is damaged."""
    try:
        signed = _Envelope.load(bounded(data))["content"]
        certificates = tuple(_certificates(signed["certificates"]))
        signers = tuple(_signer(info, certificates) for info in list(signed["signer_infos"])[:MOST_SIGNERS])
        return Signed(_content(signed), signers, tuple(certificate.dump() for certificate in certificates))
    except Unreadable:
        raise
    except Exception as error:  # as above
        raise Unreadable(Reason.UNKNOWN_FORMAT, "damaged envelope") from error


@dataclass(frozen=True, slots=True)
class Stamped:
    """What a timestamp token (RFC 3161) says: the hash of what was stamped, and when that was."""

    digest: str
    imprint: bytes
    time: datetime


def stamped(token: bytes) -> Stamped:
    """The token's content; its own signature is checked as any other. Unreadable where it is damaged."""
    try:
        info = tsp.TSTInfo.load(content_of(token))
        imprint = info["message_imprint"]
        time = _time(info["gen_time"])
        found = imprint["hash_algorithm"]["algorithm"].native, bytes(imprint["hashed_message"])
    except Unreadable:
        raise
    except Exception as error:  # as above
        raise Unreadable(Reason.UNKNOWN_FORMAT, "damaged timestamp") from error
    if time is None:
        raise Unreadable(Reason.UNKNOWN_FORMAT, "damaged timestamp")
    return Stamped(*found, time)


def _content(signed: Any) -> bytes | None:
    content = signed["encap_content_info"]["content"]
    return None if isinstance(content, core.Void) else bytes(content)


def _certificates(found: Any) -> list[Any]:
    if isinstance(found, core.Void):
        return []
    return [choice.chosen for choice in found if choice.name == "certificate"]


def _signer(info: Any, certificates: tuple[Any, ...]) -> Signer:
    signed = info["signed_attrs"]
    attributes = {} if isinstance(signed, core.Void) else _attributes(signed)
    unsigned = {} if isinstance(info["unsigned_attrs"], core.Void) else _attributes(info["unsigned_attrs"])
    tokens = unsigned.get("signature_time_stamp_token", [])
    return Signer(
        digest=info["digest_algorithm"]["algorithm"].native,
        algorithm=_algorithm(info["signature_algorithm"]),
        signature=bytes(info["signature"]),
        certificate=_certificate_of(info["sid"], certificates),
        attributes=() if isinstance(signed, core.Void) else _as_set(signed),
        message_digest=next((value.native for value in attributes.get("message_digest", [])), b""),
        signing_time=next((_time(value) for value in attributes.get("signing_time", [])), None),
        certificate_hashes=tuple(_certificate_hashes(attributes)),
        timestamp=tokens[0].dump() if tokens else b"",
        countersigners=len(unsigned.get("counter_signature", [])),
    )


def _attributes(found: Any) -> dict[str, list[Any]]:
    """Values by the attribute's name; of a name that occurs twice the first counts."""
    attributes: dict[str, list[Any]] = {}
    for attribute in found:
        attributes.setdefault(attribute["type"].native, list(attribute["values"]))
    return attributes


def _as_set(signed: Any) -> tuple[bytes, ...]:
    """What is signed: the attributes with the tag of a SET (RFC 5652, 5.4), as they stand and in DER order."""
    standing = [attribute.dump() for attribute in signed]
    header = core.SetOf(spec=core.Any)
    exact = _SET_TAG + signed.dump()[1:]
    header.contents = b"".join(sorted(standing))
    ordered = header.dump(force=False)
    return (exact,) if ordered == exact else (exact, ordered)


def _algorithm(found: Any) -> Algorithm:
    name = found["algorithm"].native
    if name in _SHA3_RSA:
        return Algorithm("rsa", _SHA3_RSA[name])
    if name in _SHA3_ECDSA:
        return Algorithm("ecdsa", _SHA3_ECDSA[name])
    if name == "rsassa_pss":
        parameters = found["parameters"]
        mask = parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native
        digest = parameters["hash_algorithm"]["algorithm"].native
        return Algorithm("pss", digest, int(parameters["salt_length"].native), mask)
    try:
        scheme = found.signature_algo
    except ValueError:
        return Algorithm(name, "")
    try:
        digest = found.hash_algo
    except ValueError:  # rsaEncryption names none: the signer's digest it is
        digest = ""
    return Algorithm({"rsassa_pkcs1v15": "rsa"}.get(scheme, scheme), digest)


def _certificate_of(sid: Any, certificates: tuple[Any, ...]) -> bytes:
    """Names are compared as RFC 5280 (7.1) says: byte comparison failed on a real invoice."""
    for certificate in certificates:
        if sid.name == "subject_key_identifier":
            if certificate.key_identifier == sid.chosen.native:
                return bytes(certificate.dump())
        elif (
            certificate.serial_number == sid.chosen["serial_number"].native
            and certificate.issuer == sid.chosen["issuer"]
        ):
            return bytes(certificate.dump())
    return b""


def _certificate_hashes(attributes: dict[str, list[Any]]) -> list[tuple[str, bytes]]:
    """Of each attribute the first, which is the signer's; the others are of its issuers (RFC 5035)."""
    found = []
    for value in attributes.get("signing_certificate_v2", []):
        first = value["certs"][0]
        found.append((first["hash_algorithm"]["algorithm"].native, first["cert_hash"].native))
    found += [("sha1", value["certs"][0]["cert_hash"].native) for value in attributes.get("signing_certificate", [])]
    return found


def _time(value: Any) -> datetime | None:
    try:
        told = value.native
    except ValueError:
        return None
    if not isinstance(told, datetime):
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
