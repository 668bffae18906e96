"""Reads zips: verifies the structure of the whole file and inflates entries one by one.

Python's zipfile is not used: it accepts overlapping entries (before 3.11.8), two zips in a row (it reads only the
second), other bytes before the zip, and a directory of any size; and its exceptions differ from version to version.
This reader supports what parcels need: one volume, stored or deflated entries, zip64.
"""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, Final

from easytracking_sync.effects import storage_faults
from easytracking_sync.errors import ParcelBad
from easytracking_sync.remote.entry_names import other_readings
from easytracking_sync.remote.inflate import InflateError, inflate

MOST_DIRECTORY_BYTES: Final = 16 * 1024 * 1024

_END = struct.Struct("<4s4H2LH")
_LOCATOR64 = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s2B5H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_UNSET16: Final = 0xFFFF
_UNSET32: Final = 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
_UTF8: Final = 0x800
_MADE_ON_UNIX: Final = 3
_READ_BYTES: Final = 64 * 1024


class EntryBad(Exception):
    """One entry is unusable. The text is a predicate, like "is encrypted". It never escapes `remote`."""


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """One entry as the central directory describes it, and where its compressed bytes are."""

    name: str
    starts_at: int
    ends_at: int  # end of its compressed bytes
    packed: int
    size: int
    crc: int
    method: int
    fault: str | None  # why it is unusable, if known without reading it
    other_names: tuple[str, ...] = ()  # its name decoded with other code pages

    @property
    def is_folder(self) -> bool:
        """Whether this entry is a folder."""
        return self.name.endswith(("/", "\\"))


@dataclass(frozen=True, slots=True)
class _Directory:
    """Where the central directory is, and how many entries it has."""

    start: int
    size: int
    count: int


def read_at(file: BinaryIO, at: int, count: int) -> bytes:
    """Exactly these bytes; ParcelBad if the file is shorter, StorageFault if reading fails."""
    with storage_faults("reading a parcel"):
        file.seek(at)
        found = file.read(count)
    if len(found) != count:
        raise ParcelBad("the zip is cut short")
    return found


def read_entries(file: BinaryIO, *, most: int) -> tuple[ZipEntry, ...]:
    """All entries in the directory's order. ParcelBad unless the structure is sound.

    Required: exactly one end record, at the end of the file; the directory directly before it, with the declared
    entries; no bytes before the first entry; no overlapping entries.
    """
    directory = _find_directory(file)
    if directory.count > most:
        raise ParcelBad(f"{directory.count} entries, more than {most}")
    if directory.size > MOST_DIRECTORY_BYTES:
        raise ParcelBad(f"a directory of {directory.size} bytes")
    entries = tuple(_read_directory(file, directory))
    by_place = sorted(entries, key=lambda entry: entry.starts_at)
    if (by_place[0].starts_at if by_place else directory.start) != 0:
        raise ParcelBad("other bytes precede the zip")
    if any(first.ends_at > second.starts_at for first, second in pairwise(by_place)):
        raise ParcelBad("entries overlap")
    return entries


def _find_directory(file: BinaryIO) -> _Directory:
    with storage_faults("reading a parcel"):
        length = file.seek(0, io.SEEK_END)
    if length < _END.size:
        raise ParcelBad(f"{length} bytes are too few for a zip")
    tail_at = max(0, length - _END.size - _UNSET16)
    tail = read_at(file, tail_at, length - tail_at)
    found = []
    at = tail.find(b"PK\x05\x06")
    while 0 <= at <= len(tail) - _END.size:
        directory = _directory_at(file, tail_at + at, tail[at:])
        found += [directory] if directory else []
        at = tail.find(b"PK\x05\x06", at + 1)
    if len(found) > 1:
        raise ParcelBad("more than one end record fits")
    if not found:
        is_page = read_at(file, 0, 16).lstrip()[:1] == b"<"
        raise ParcelBad("a web page" if is_page else "no fitting end record: cut short, or not one complete zip")
    return found[0]


def _directory_at(file: BinaryIO, at: int, found: bytes) -> _Directory | None:
    """The directory this end record describes, if all numbers fit."""
    _, disk, directory_disk, count_here, count, size, start, comment = _END.unpack_from(found)
    if len(found) != _END.size + comment or disk or directory_disk or count_here != count:
        return None
    if start + size == at and count != _UNSET16:
        return _Directory(start, size, count)
    return _directory64_at(file, at - _LOCATOR64.size, _Directory(start, size, count))


def _directory64_at(file: BinaryIO, locator_at: int, short: _Directory) -> _Directory | None:
    """The same for zip64, whose record holds the numbers the short one leaves out."""
    if locator_at < _END64.size:
        return None
    mark, disk, at, disks = _LOCATOR64.unpack(read_at(file, locator_at, _LOCATOR64.size))
    if mark != b"PK\x06\x07" or disk or disks > 1 or at > locator_at - _END64.size:
        return None
    mark, length, *_, here, directory_disk, count_here, count, size, start = _END64.unpack(
        read_at(file, at, _END64.size)
    )
    if mark != b"PK\x06\x06" or at + 12 + length != locator_at or here or directory_disk or count_here != count:
        return None
    agree = short.start in {start, _UNSET32} and short.size in {size, _UNSET32} and short.count in {count, _UNSET16}
    return _Directory(start, size, count) if agree and start + size == at else None


def _read_directory(file: BinaryIO, directory: _Directory) -> Iterator[ZipEntry]:
    content = read_at(file, directory.start, directory.size)
    at = 0
    for _ in range(directory.count):
        if at + _CENTRAL.size > len(content):
            raise ParcelBad("the directory holds fewer entries than declared")
        fixed = _CENTRAL.unpack_from(content, at)
        mark, (name_length, extra_length, comment_length) = fixed[0], fixed[11:14]
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_length
        comment_at = extra_at + extra_length
        at = comment_at + comment_length
        if mark != b"PK\x01\x02" or at > len(content):
            raise ParcelBad("the directory is damaged")
        yield _read_entry(file, directory, fixed, content[name_at:extra_at], content[extra_at:comment_at])
    if at != len(content):
        raise ParcelBad("the directory holds more than declared")


def _read_entry(file: BinaryIO, directory: _Directory, fixed: tuple[int, ...], name: bytes, extra: bytes) -> ZipEntry:
    _, _, system, _, flags, method, _, _, crc, packed, size, _, _, _, disk, _, attributes, starts_at = fixed
    size, packed, starts_at = _long_numbers(extra, size, packed, starts_at)
    if disk:
        raise ParcelBad("part of a zip in several volumes")
    if starts_at + _LOCAL.size + len(name) + packed > directory.start:
        raise ParcelBad("an entry reaches beyond the zip")
    ends_at, fault = _check_local(file, starts_at, name=name, flags=flags, method=method, packed=packed)
    if ends_at > directory.start:
        raise ParcelBad("an entry reaches beyond the zip")
    if fault is None and method not in {_STORED, _DEFLATED}:
        fault = f"is compressed by method {method}, which is not supported"
    if fault is None and system == _MADE_ON_UNIX and stat.S_ISLNK(attributes >> 16):
        fault = "is a symbolic link"
    text, *others = _readings(name, flags)
    return ZipEntry(text, starts_at, ends_at, packed, size, crc, method, fault, tuple(others))


def _long_numbers(extra: bytes, *short: int) -> tuple[int, int, int]:
    """Size, compressed size and offset; numbers left out are read from the zip64 field, in this order."""
    numbers = list(short)
    missing = [place for place, number in enumerate(numbers) if number == _UNSET32]
    at = 0
    while missing and at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if kind == 1 and length >= 8 * len(missing) and at + length <= len(extra):
            for place in missing:
                (numbers[place],) = struct.unpack_from("<Q", extra, at)
                at += 8
            return numbers[0], numbers[1], numbers[2]
        at += length
    if missing:
        raise ParcelBad("an entry lacks its sizes")
    return numbers[0], numbers[1], numbers[2]


def _check_local(
    file: BinaryIO, starts_at: int, *, name: bytes, flags: int, method: int, packed: int
) -> tuple[int, str | None]:
    """Where the compressed bytes end, and what is wrong with the entry's local header."""
    mark, _, own_flags, own_method, *_, name_length, extra_length = _LOCAL.unpack(
        read_at(file, starts_at, _LOCAL.size)
    )
    name_at = starts_at + _LOCAL.size
    if mark != b"PK\x03\x04":
        return name_at + len(name) + packed, "has a damaged header"
    own_name = read_at(file, name_at, name_length)
    ends_at = name_at + name_length + extra_length + packed
    if (flags | own_flags) & _ENCRYPTED:
        return ends_at, "is encrypted"
    agree = own_name == name or not set(_readings(own_name, own_flags)).isdisjoint(_readings(name, flags))
    return ends_at, None if agree and own_method == method else "has a damaged header"


def _readings(name: bytes, flags: int) -> tuple[str, ...]:
    """The decoded name, followed by other decodings if the encoding is not declared."""
    if name.isascii():
        return (name.decode(),)
    if flags & _UTF8:
        return (name.decode("utf-8", "replace"),)
    readings = (name.decode("cp437"), *other_readings(name))
    try:
        return (name.decode("utf-8"), *readings)
    except UnicodeDecodeError:
        return readings


def unpack(file: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    """The entry's bytes in pieces of at most 1 MiB.

    EntryBad as soon as they exceed the declared size, and at the end if they are fewer or their CRC differs.
    """
    if entry.fault is not None:
        raise EntryBad(entry.fault)
    count = crc = 0
    try:
        for piece in _unpacked(file, entry):
            count += len(piece)
            if count > entry.size:
                raise EntryBad("is larger than declared")
            crc = zlib.crc32(piece, crc)
            yield piece
    except InflateError as error:
        raise EntryBad(str(error)) from error
    if count != entry.size:
        raise EntryBad("is smaller than declared")
    if crc != entry.crc:
        raise EntryBad("has a wrong checksum")


def _unpacked(file: BinaryIO, entry: ZipEntry) -> Iterator[bytes]:
    packed_at = range(entry.ends_at - entry.packed, entry.ends_at, _READ_BYTES)
    pieces = (read_at(file, at, min(_READ_BYTES, entry.ends_at - at)) for at in packed_at)
    return pieces if entry.method == _STORED else inflate(pieces, -zlib.MAX_WBITS)
