"""Files within an invoice: decoded, measured, named safely, and told by their first bytes. Nothing is unpacked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from easytracking_sync.invoices.invoice import Attachment
from easytracking_sync.invoices.remarks import Flag, Remark
from easytracking_sync.safe_file_names import distinct_names

_KINDS: Final = (
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!", "rar"),
    (b"\xd0\xcf\x11\xe0", "office"),
    (b"{\\rtf", "rtf"),
    (b"MZ", "executable"),
    (b"\x7fELF", "executable"),
    (b"<?xml", "xml"),
    (b"\xef\xbb\xbf<?xml", "xml"),
)
_BY_EXTENSION: Final = {"jpg": "jpeg", "tif": "tiff", "doc": "office", "xls": "office", "exe": "executable"}
_IN_ZIP: Final = frozenset({"docx", "xlsx", "pptx", "odt", "ods", "jar", "asice"})
_WHITE: Final = re.compile(r"\s+")
_LETTERS: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_OTHER: Final = re.compile(r"[^A-Za-z0-9+/]")


@dataclass(frozen=True, slots=True)
class Written:
    """An attachment as the file writes it: still base64."""

    name: str
    text: str
    description: str = ""
    stated_format: str = ""
    compression: str = ""
    link: str = ""


def decoded(written: Written) -> tuple[Attachment, tuple[Remark, ...]]:
    """The attachment, not yet named, and what is odd about it."""
    content, flags = _content(written.text)
    if not content and not written.link:
        flags = [*flags, Flag.ATTACHMENT_EMPTY]
    kind = kind_of(content)
    if _disagrees(written.name or written.stated_format, kind):
        flags = [*flags, Flag.ATTACHMENT_KIND]
    attachment = Attachment(
        name=written.name,
        safe_name="",
        description=written.description,
        stated_format=written.stated_format,
        compression=written.compression,
        kind=kind,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
        link=written.link,
    )
    return attachment, tuple(Remark(flag, written.name) for flag in flags)


def named(attachments: Sequence[Attachment]) -> tuple[Attachment, ...]:
    """The same with names that are safe and distinct within the file."""
    names = distinct_names(_full_name(attachment, number) for number, attachment in enumerate(attachments, start=1))
    return tuple(replace(one, safe_name=name) for one, name in zip(attachments, names, strict=True))


def kind_of(content: bytes) -> str:
    """By the first bytes; empty where they say nothing."""
    start = content[:16]
    return next((kind for sign, kind in _KINDS if start.startswith(sign)), "")


def _content(text: str) -> tuple[bytes, list[Flag]]:
    clean = _WHITE.sub("", text)
    flags = []
    if clean and not _LETTERS.fullmatch(clean):
        flags.append(Flag.ATTACHMENT_DAMAGED)
    content = _lenient(clean)
    if content and not kind_of(content):
        again = _once_more(content)
        if again:
            return again, [*flags, Flag.ATTACHMENT_BASE64_TWICE]
    return content, flags


def _lenient(clean: str) -> bytes:
    letters = _OTHER.sub("", clean)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    try:
        return base64.b64decode(letters + "=" * (-len(letters) % 4))
    except binascii.Error:
        return b""


def _once_more(content: bytes) -> bytes:
    """What is in base64 within base64, where that is a file of a known kind."""
    if not content.isascii():
        return b""
    clean = _WHITE.sub("", content.decode("ascii"))
    if not _LETTERS.fullmatch(clean):
        return b""
    inner = _lenient(clean)
    return inner if kind_of(inner) else b""


def _extension(name: str) -> str:
    return name.rpartition(".")[2].strip().lower()


def _disagrees(name: str, kind: str) -> bool:
    """Whether a known kind of file bears the name of another known kind."""
    said = _extension(name)
    said = _BY_EXTENSION.get(said, said)
    if not kind or said not in _KNOWN:
        return False
    return said != kind


def _full_name(attachment: Attachment, number: int) -> str:
    name = attachment.name or f"attachment-{number}"
    if "." in name:
        return name
    extension = attachment.kind or attachment.stated_format.lower()
    return f"{name}.{extension}" if extension.isascii() and extension.isalnum() else name


def known_kinds() -> Iterable[str]:
    """Every kind that is told by first bytes."""
    return {kind for _, kind in _KINDS}


_KNOWN: Final = frozenset(known_kinds()) - _IN_ZIP
