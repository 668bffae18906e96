"""Bytes become text before any parser sees them: an encoding the parser knows and we do not could hide a DOCTYPE."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from easytracking_sync.invoices.remarks import Flag
from easytracking_sync.invoices.unreadable import Reason, Unreadable

_DECLARED: Final = re.compile(rb"<\?xml[^>]{0,100}?\sencoding\s*=\s*[\"']\s*([A-Za-z0-9._:-]{1,40})\s*[\"']")
_DECLARATION: Final = re.compile(r"\A[\ufeff\s\x00]*(?:<\?xml[^>]{0,200}\?>)?\s*")
_ENCODINGS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "ascii": "utf-8",
    "us-ascii": "utf-8",
    "iso-8859-1": "iso-8859-1",
    "iso8859-1": "iso-8859-1",
    "latin1": "iso-8859-1",
    "latin-1": "iso-8859-1",
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "windows-1252",
    "cp1252": "windows-1252",
    "utf-16": "utf-16",
    "utf-16le": "utf-16",
    "utf-16be": "utf-16",
}
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_WIDE: Final = ((b"<\x00", "utf-16-le"), (b"\x00<", "utf-16-be"))
_UTF32: Final = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff", b"<\x00\x00\x00", b"\x00\x00\x00<")
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_HIGH_CONTROLS: Final = re.compile(rb"[\x80-\x9f]")
_UNDEFINED: Final = frozenset({0x81, 0x8D, 0x8F, 0x90, 0x9D})
_WINDOWS: Final = {byte: bytes([byte]).decode("cp1252") for byte in range(0x80, 0xA0) if byte not in _UNDEFINED}


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text without its XML declaration, the encoding that was used, and what had to be mended."""

    text: str
    encoding: str
    flags: tuple[Flag, ...]


def decode(data: bytes) -> Decoded:
    """The file's text. Unreadable for an encoding outside the list, and for a DOCTYPE."""
    text, encoding, corrected = _text(data)
    flags = [Flag.ENCODING] if corrected else []
    body = text[_declaration_end(text) :].rstrip("\x00 \t\r\n")
    clean = _FORBIDDEN.sub("", body)
    if len(clean) != len(body):
        flags.append(Flag.CONTROLS)
    if "<!DOCTYPE" in clean or "<!ENTITY" in clean:
        raise Unreadable(Reason.DOCTYPE)
    return Decoded(clean, encoding, tuple(flags))


def _declaration_end(text: str) -> int:
    found = _DECLARATION.match(text)
    return found.end() if found else 0


def _text(data: bytes) -> tuple[str, str, bool]:
    """The text, its encoding, and whether that is another one than the file says."""
    if data.startswith(_UTF32):
        raise Unreadable(Reason.ENCODING, "utf-32")
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _marked(data[len(mark) :], encoding)
    start = data.lstrip(b" \t\r\n")
    for sign, encoding in _WIDE:
        if start.startswith(sign) and start[2:4] != b"\x00\x00":
            return _marked(start, encoding)
    return _declared(data)


def _marked(data: bytes, encoding: str) -> tuple[str, str, bool]:
    try:
        return data.decode(encoding), encoding, False
    except UnicodeDecodeError:
        if encoding == "utf-8":
            return _windows(data), "windows-1252", True
        return data.decode(encoding, "replace"), encoding, True


def _declared(data: bytes) -> tuple[str, str, bool]:
    found = _DECLARED.search(data[:400])
    name = found[1].decode("ascii").lower() if found else "utf-8"
    encoding = _ENCODINGS.get(name)
    if encoding is None:
        raise Unreadable(Reason.ENCODING, name)
    if data.isascii():
        return data.decode("ascii"), encoding, encoding == "utf-16"
    try:
        return data.decode("utf-8"), "utf-8", encoding != "utf-8"
    except UnicodeDecodeError:
        pass
    if encoding == "iso-8859-15":
        return data.decode(encoding), encoding, False
    if encoding == "iso-8859-1" and not _HIGH_CONTROLS.search(data):
        return data.decode(encoding), encoding, False
    return _windows(data), "windows-1252", encoding != "windows-1252"


def _windows(data: bytes) -> str:
    """windows-1252, with what it leaves undefined as the web does it: the control character of that number."""
    return data.decode("latin-1").translate(_WINDOWS)
