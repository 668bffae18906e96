"""Signatures checked offline, question by question: each is answered yes, no or unknown.

Reading an invoice does not verify it. Revocation is not checked; SDI refuses what is expired, revoked, untrusted or
broken when it takes an invoice in. Who signed is personal data: it is shown, never logged, never searched.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from easytracking_sync.invoices import cms
from easytracking_sync.invoices.certificates import Anchors, Certificate, leads_to, read_certificate, verifies
from easytracking_sync.invoices.tree import Node
from easytracking_sync.invoices.unreadable import Unreadable

WEAK_DIGESTS: Final = frozenset({"md2", "md5", "sha1"})
NO_ANCHORS: Final = Anchors()


class Answer(StrEnum):
    """Unknown is said as unknown."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """Where a signature stands."""

    ENVELOPE = "envelope"  # CAdES or CMS, around the invoice
    INSIDE = "inside"  # XAdES, within the XML: shown, not verified by this program


class TimeSource(StrEnum):
    """What the time of a signature rests on."""

    TIMESTAMP = "timestamp"  # a token of a third party, whose imprint and signature check
    CLAIM = "claim"  # of the signer
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signer's signature."""

    kind: Kind
    layer: int  # 1 is the outermost envelope
    intact: Answer  # the content is what was signed, with the certificate that is given
    bound: Answer  # the signature names that very certificate
    certificate: Certificate | None
    time: datetime | None
    time_source: TimeSource
    valid_then: Answer  # the certificate, at that time; never "expired" because it expired since
    trusted: Answer  # its issuer is among the configured ones; unknown without any
    weak: bool  # SHA-1 or older, or an RSA key below 2048 bits
    countersigners: int = 0


def check_signatures(
    envelopes: Sequence[bytes], *, anchors: Anchors = NO_ANCHORS, received: datetime | None = None
) -> tuple[Signature, ...]:
    """Every signer of every envelope, outermost first. A damaged envelope has one signature that is unknown.

    `received` is when the document had arrived: no signature is younger.
    """
    found: list[Signature] = []
    for layer, envelope in enumerate(envelopes, start=1):
        try:
            opened = cms.opened(envelope)
        except Unreadable:
            found.append(_unknown(Kind.ENVELOPE, layer))
            continue
        found += [_checked(opened, signer, layer, anchors, received) for signer in opened.signers]
    return tuple(found)


def signatures_inside(nodes: Sequence[Node]) -> tuple[Signature, ...]:
    """Signatures within the XML (XAdES): who and when as they say, and nothing verified."""
    return tuple(_inside(node) for node in nodes)


def _checked(
    opened: cms.Signed, signer: cms.Signer, layer: int, anchors: Anchors, received: datetime | None
) -> Signature:
    certificate = read_certificate(signer.certificate) if signer.certificate else None
    time, source = _time(signer)
    moment = min(time, received) if time and received else time
    chain = leads_to(signer.certificate, opened.certificates, anchors, moment) if signer.certificate else None
    return Signature(
        kind=Kind.ENVELOPE,
        layer=layer,
        intact=_answer(_intact(opened.content, signer)),
        bound=_answer(_bound(signer)),
        certificate=certificate,
        time=time,
        time_source=source,
        valid_then=_valid(certificate, moment),
        trusted=_answer(chain),
        weak=_weak(signer, certificate),
        countersigners=signer.countersigners,
    )


def _intact(content: bytes | None, signer: cms.Signer) -> bool | None:
    if content is None or not signer.certificate:
        return None
    if not signer.attributes:
        return verifies(signer.certificate, signer.algorithm, signer.digest, signer.signature, content)
    digest = _digest(signer.digest, content)
    if digest is None:
        return None
    if digest != signer.message_digest:
        return False
    answers = [
        verifies(signer.certificate, signer.algorithm, signer.digest, signer.signature, signed)
        for signed in signer.attributes
    ]
    return True if True in answers else answers[0]


def _bound(signer: cms.Signer) -> bool | None:
    if not signer.certificate_hashes or not signer.certificate:
        return None
    digests = [(_digest(name, signer.certificate), digest) for name, digest in signer.certificate_hashes]
    if any(ours is None for ours, _ in digests):
        return None
    return all(ours == theirs for ours, theirs in digests)


def _time(signer: cms.Signer) -> tuple[datetime | None, TimeSource]:
    """A timestamp that checks outweighs the signer's claim."""
    if signer.timestamp:
        try:
            stamp, token = cms.stamped(signer.timestamp), cms.opened(signer.timestamp)
        except Unreadable:
            pass
        else:
            genuine = any(_intact(token.content, one) for one in token.signers)
            if genuine and _digest(stamp.digest, signer.signature) == stamp.imprint:
                return stamp.time, TimeSource.TIMESTAMP
    if signer.signing_time is not None:
        return signer.signing_time, TimeSource.CLAIM
    return None, TimeSource.NONE


def _valid(certificate: Certificate | None, moment: datetime | None) -> Answer:
    if certificate is None or moment is None:
        return Answer.UNKNOWN
    return _answer(certificate.valid_from <= moment <= certificate.valid_to)


def _weak(signer: cms.Signer, certificate: Certificate | None) -> bool:
    weak_digest = signer.digest in WEAK_DIGESTS or signer.algorithm.digest in WEAK_DIGESTS
    return weak_digest or (certificate is not None and certificate.weak_key)


def _digest(name: str, content: bytes) -> bytes | None:
    try:
        return hashlib.new(name, content, usedforsecurity=False).digest()
    except (ValueError, TypeError):  # unknown, or one whose length is free
        return None


def _answer(found: bool | None) -> Answer:  # noqa: FBT001  it is what is translated
    return Answer.UNKNOWN if found is None else Answer.YES if found else Answer.NO


def _inside(node: Node) -> Signature:
    certificate, claimed = None, None
    for path, leaf in node.leaves():
        if certificate is None and path.endswith("X509Certificate"):
            certificate = _embedded(leaf.text)
        elif claimed is None and path.endswith("SigningTime"):
            claimed = _claimed(leaf.text)
    return Signature(
        kind=Kind.INSIDE,
        layer=0,
        intact=Answer.UNKNOWN,
        bound=Answer.UNKNOWN,
        certificate=certificate,
        time=claimed,
        time_source=TimeSource.CLAIM if claimed else TimeSource.NONE,
        valid_then=_valid(certificate, claimed),
        trusted=Answer.UNKNOWN,
        weak=certificate is not None and certificate.weak_key,
    )


def _embedded(text: str) -> Certificate | None:
    try:
        return read_certificate(base64.b64decode("".join(text.split())))
    except (binascii.Error, ValueError):
        return None


def _claimed(text: str) -> datetime | None:
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _unknown(kind: Kind, layer: int) -> Signature:
    unknown = Answer.UNKNOWN
    return Signature(kind, layer, unknown, unknown, None, None, TimeSource.NONE, unknown, unknown, weak=False)
