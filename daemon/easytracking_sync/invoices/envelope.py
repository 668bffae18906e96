"""From a stored file to the XML in it: signatures, PEM and base64 are told by the bytes, never by a name."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from easytracking_sync.invoices.cms import content_of, is_signed
from easytracking_sync.invoices.limits import MOST_FILE_BYTES, MOST_LAYERS, MOST_XML_BYTES
from easytracking_sync.invoices.unreadable import Reason, Unreadable

BLANK: Final = b" \t\r\n\x0b\x0c"
_BEFORE_XML: Final = b"\xef\xbb\xbf\xff\xfe\x00" + BLANK
_PEM: Final = re.compile(rb"\s*-----BEGIN [A-Z0-9 ]{1,40}-----(.*?)(?:-----END|\Z)", re.DOTALL)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{16,}={0,3}")
_ROOTS: Final = rb"(?:FatturaElettronicaSemplificata|FatturaElettronica|CreditNote|Invoice)"
_OPENING: Final = re.compile(rb"<\?xml|<(?:[A-Za-z_][\w.-]{0,40}:)?" + _ROOTS + rb"[\s>]")
_CLOSING: Final = re.compile(rb"</(?:[A-Za-z_][\w.-]{0,40}:)?" + _ROOTS + rb"\s*>")
_SEGMENT: Final = re.compile(rb"\x04(?:\x81.|\x82..|\x83...|\x84....|[\x00-\x7f])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Opened:
    """The innermost content and what lay around it, outermost first."""

    content: bytes
    signed: tuple[bytes, ...]  # the signed envelopes, each as its own bytes
    base64_layers: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """Envelopes that could not be opened to the end: how far it went, and why not further."""

    rest: bytes
    signed: tuple[bytes, ...]
    base64_layers: int
    error: Unreadable


def begins_like_xml(data: bytes) -> bool:
    """After marks of byte order, NUL and white space."""
    return data[:64].lstrip(_BEFORE_XML).startswith(b"<")


def open_all(data: bytes) -> Opened | Damaged:
    """Every envelope opened, outermost first. Unreadable for what no salvage could help."""
    if len(data) > MOST_FILE_BYTES:
        raise Unreadable(Reason.TOO_LARGE, f"{len(data)} bytes")
    signed: list[bytes] = []
    encoded = 0
    for _ in range(MOST_LAYERS + 1):
        if begins_like_xml(data):
            return _bounded(Opened(data, tuple(signed), encoded))
        if not data.strip(_BEFORE_XML):
            raise Unreadable(Reason.EMPTY)
        if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            raise Unreadable(Reason.ARCHIVE)
        if is_signed(data):
            signed.append(data)
            try:
                data = content_of(data)
            except Unreadable as error:
                return Damaged(data, tuple(signed), encoded, error)
            continue
        decoded = _decoded(data)
        if decoded is None:
            return Damaged(data, tuple(signed), encoded, Unreadable(Reason.UNKNOWN_FORMAT))
        data, encoded = decoded, encoded + 1
    raise Unreadable(Reason.TOO_MANY_LAYERS)


def salvaged(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """What may be the XML in a damaged envelope, best guess first; True where an encoding was undone for it."""
    cut = _cut_out(data)
    if cut:
        yield cut, False
    undone = _untranscoded(data)
    if undone is not None:
        cut = _cut_out(undone)
        if cut:
            yield cut, True


def _bounded(opened: Opened) -> Opened:
    if len(opened.content) > MOST_XML_BYTES:
        raise Unreadable(Reason.TOO_LARGE, f"{len(opened.content)} bytes")
    return opened


def _decoded(data: bytes) -> bytes | None:
    """What is in PEM or base64; None where it is neither, or nothing known is in it."""
    pem = _PEM.match(data)
    letters = (pem[1] if pem else data).translate(None, BLANK + b"\x00")
    if not _BASE64.fullmatch(letters):
        return None
    letters = letters.rstrip(b"=")
    if len(letters) % 4 == 1:  # one letter is missing or too many: the last six bits are no byte
        letters = letters[:-1]
    try:
        decoded = base64.b64decode(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return None
    known = begins_like_xml(decoded) or decoded[:1] == b"\x30" or _PEM.match(decoded) or _is_base64(decoded)
    return decoded if known else None


def _is_base64(data: bytes) -> bool:
    return bool(_BASE64.fullmatch(data.translate(None, BLANK + b"\x00")))


def _cut_out(data: bytes) -> bytes | None:
    """From the first declaration or root tag to the last closing root tag, without the headers of BER segments."""
    opening = _OPENING.search(data)
    if opening is None:
        return None
    cut = _SEGMENT.sub(b"", data[opening.start() : opening.start() + MOST_XML_BYTES])
    closing = None
    for closing in _CLOSING.finditer(cut):  # noqa: B007  the last one is wanted
        pass
    return cut[: closing.end()] if closing else None


def _untranscoded(data: bytes) -> bytes | None:
    """Bytes that were taken for windows-1252 and saved as UTF-8, as they were; None where they were not."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text.translate(_TO_BYTES).encode("latin-1", "replace")


def _windows_1252() -> dict[int, int]:
    table = {}
    for byte in range(0x80, 0xA0):
        try:
            table[ord(bytes([byte]).decode("cp1252"))] = byte
        except UnicodeDecodeError:
            continue
    return table


_TO_BYTES: Final = _windows_1252()
