"""Writes zips byte by byte, so that any field can be wrong. The same entries give the same bytes."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

STORED, DEFLATED = 0, 8
UTF8, ENCRYPTED = 0x800, 0x1
MIDNIGHT, FIRST_DAY = 0, 0x21  # 1980-01-01 00:00, the zip's own zero


@dataclass(slots=True)
class Entry:
    """One file in the zip; the values after `body` allow wrong fields."""

    name: bytes
    body: bytes
    method: int = DEFLATED
    flags: int = 0
    mode: int = 0  # a Unix mode, for symbolic links
    crc: int | None = None
    size: int | None = None
    packed: bytes | None = None  # instead of the body's compressed form
    swallows_next: bool = False  # the next entry's local part is inside this one's content

    def pack(self) -> bytes:
        """The content as stored in the zip."""
        if self.packed is not None:
            return self.packed
        if self.method != DEFLATED:
            return self.body
        squeeze = zlib.compressobj(6, zlib.DEFLATED, -15)
        return squeeze.compress(self.body) + squeeze.flush()


def seal(entries: list[Entry]) -> bytes:
    """The zip's bytes: local parts, directory, end record."""
    local, directory = bytearray(), bytearray()
    inner: tuple[bytes, bytes] | None = None
    for place, entry in enumerate(entries):
        if inner is None:
            start, (written, common) = len(local), _local(entry)
            if entry.swallows_next and place + 1 < len(entries):
                inner = _local(entries[place + 1])
                swallower = Entry(entry.name, inner[0], method=STORED, flags=entry.flags)
                written, common = _local(swallower)
            local += written
        else:
            start, common = len(local) - len(inner[0]), inner[1]
            inner = None
        made_by = 0x031E if entry.mode else 0x001E
        directory += struct.pack("<IH", 0x02014B50, made_by) + common
        directory += struct.pack("<HHHII", 0, 0, 0, entry.mode << 16, start) + entry.name
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(entries), len(entries), len(directory), len(local), 0)
    return bytes(local + directory) + end


def _local(entry: Entry) -> tuple[bytes, bytes]:
    """The local part, and the fields that the directory repeats."""
    packed = entry.pack()
    crc = zlib.crc32(entry.body) if entry.crc is None else entry.crc
    size = len(entry.body) if entry.size is None else entry.size
    flags = entry.flags | (0 if entry.name.isascii() else UTF8)
    common = struct.pack(
        "<HHHHHIIIHH", 20, flags, entry.method, MIDNIGHT, FIRST_DAY, crc, len(packed), size, len(entry.name), 0
    )
    return struct.pack("<I", 0x04034B50) + common + entry.name + packed, common
