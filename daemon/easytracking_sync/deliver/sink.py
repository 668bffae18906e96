"""What every place for files promises, whatever its kind: a folder, an SFTP server, an S3 bucket."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from easytracking_sync.errors import SinkRefused
from easytracking_sync.safe_file_names import safe_name

MOST_NAME_BYTES = 240


class Put(StrEnum):
    """What `put_new` found and did."""

    WRITTEN = "written"
    SAME = "same"  # the name exists, with these bytes
    OTHER = "other"  # the name exists, with other bytes, which are left as they are


class Found(StrEnum):
    """What is at the sink under a name that was delivered."""

    SAME = "same"
    OTHER = "other"  # somebody changed it
    GONE = "gone"  # taken away by the receiver, or lost


@dataclass(frozen=True, slots=True)
class Probe:
    """What a trial file showed. `warnings` are sentences for `check`; none means that all promises hold."""

    warnings: tuple[str, ...] = ()


class PutSink(Protocol):
    """A place for files. SinkUnavailable if it cannot be used now, SinkRefused if a person must change something.

    Names are relative, made of safe components with / between them. Threads may share a sink.
    """

    def put_new(self, name: str, content: bytes, sha256: str) -> Put:
        """Write the file unless the name exists. Repeating is safe.

        WRITTEN and SAME mean that the bytes are as durable as the sink can make them. Never replaces a file, and
        never shows a part of one under the name.
        """
        ...

    def read(self, name: str) -> bytes | None:
        """The bytes under this name, or None if it does not exist. No file: SinkRefused."""
        ...

    def probe(self) -> Probe:
        """Write a trial file, try to replace it, and remove it. SinkRefused if the sink replaces files."""
        ...


def compare(content: bytes | None, sha256: str) -> Found:
    """What these bytes from the sink prove about a delivery."""
    if content is None:
        return Found.GONE
    return Found.SAME if hashlib.sha256(content).hexdigest() == sha256 else Found.OTHER


def prove(sink: PutSink, name: str, sha256: str) -> Found:
    """Read the file back. Errors as `read`, except that something that is no file counts as OTHER."""
    try:
        return compare(sink.read(name), sha256)
    except SinkRefused:
        return Found.OTHER


def checked(name: str, content: bytes, sha256: str) -> str:
    """The name, if it is safe and the bytes are those of the hash.

    ValueError for a name that is not (a bug), SinkRefused for other bytes (the archive's copy is damaged).
    """
    if len(name.encode()) > MOST_NAME_BYTES or any(part != safe_name(part) for part in name.split("/")):
        raise ValueError(f"{name!r} is not a safe name")
    if compare(content, sha256) is not Found.SAME:
        raise SinkRefused(f"{name}: the archive's copy does not match its sha256; run `scrub`")
    return name
