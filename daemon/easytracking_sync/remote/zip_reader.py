"""The zip container, read by itself: its frame is proven whole, its entries are inflated one by one.

Python's own reader is not used, since it passes what must not pass here: overlapping entries (before 3.11.8), two
zips in a row (it sees the second only), a page in front of a zip, a directory of any size; and what escapes from it
differs from version to version. Only what parcels are made of is read: one volume, stored or deflated, zip64.
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
from easytracking_sync.remote.inflate import RAW, CutShort, TrailingBytes, inflated

MOST_DIRECTORY_BYTES: Final = 16 * 1024 * 1024
MOST_PIECE_BYTES: Final = 1024 * 1024

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
    """One entry cannot be proven; the text says why. It never leaves `remote`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the central directory tells it, and where its packed bytes stand."""

    name: str
    starts_at: int
    ends_at: int  # where its packed bytes end
    packed: int
    size: int
    crc: int
    method: int
    fault: str | None  # why it cannot be read, known without reading it
    other_names: tuple[str, ...] = ()  # what its name may be in other code pages

    @property
    def is_folder(self) -> bool:
        """Whether this entry only names a folder."""
        return self.name.endswith(("/", "\\"))


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the central directory stands, and how many entries it has."""

    start: int
    size: int
    count: int


def read_at(file: BinaryIO, at: int, count: int) -> bytes:
    """Exactly these bytes; ParcelBad where the file ends before, StorageFault where the disk refuses."""
    with storage_faults("reading a parcel"):
        file.seek(at)
        found = file.read(count)
    if len(found) != count:
        raise ParcelBad("the zip is cut short")
    return found


def read_entries(file: BinaryIO, *, most: int) -> tuple[Entry, ...]:
    """Every entry in the directory's order, once the frame is proven: one end record, at the very end; a directory
    that stands right before it and holds what it says; nothing in front of the first entry; entries that do not
    overlap. ParcelBad otherwise.
    """
    frame = _read_frame(file)
    if frame.count > most:
        raise ParcelBad(f"{frame.count} entries, more than {most}")
    if frame.size > MOST_DIRECTORY_BYTES:
        raise ParcelBad(f"a directory of {frame.size} bytes")
    entries = tuple(_read_directory(file, frame))
    by_place = sorted(entries, key=lambda entry: entry.starts_at)
    if (by_place[0].starts_at if by_place else frame.start) != 0:
        raise ParcelBad("something stands in front of the zip")
    if any(first.ends_at > second.starts_at for first, second in pairwise(by_place)):
        raise ParcelBad("entries overlap")
    return entries


def _read_frame(file: BinaryIO) -> _Frame:
    with storage_faults("reading a parcel"):
        length = file.seek(0, io.SEEK_END)
    if length < _END.size:
        raise ParcelBad(f"{length} bytes are no zip")
    tail_at = max(0, length - _END.size - _UNSET16)
    tail = read_at(file, tail_at, length - tail_at)
    frames = []
    at = tail.find(b"PK\x05\x06")
    while 0 <= at <= len(tail) - _END.size:
        frame = _frame_at(file, tail_at + at, tail[at:])
        frames += [frame] if frame else []
        at = tail.find(b"PK\x05\x06", at + 1)
    if len(frames) > 1:
        raise ParcelBad("more than one end record fits")
    if not frames:
        is_page = read_at(file, 0, 16).lstrip()[:1] == b"<"
        raise ParcelBad("a web page" if is_page else "no end record that fits: cut short, or not one whole zip")
    return frames[0]


def _frame_at(file: BinaryIO, at: int, found: bytes) -> _Frame | None:
    """The frame this end record describes, if all of it fits."""
    _, disk, directory_disk, count_here, count, size, start, comment = _END.unpack_from(found)
    if len(found) != _END.size + comment or disk or directory_disk or count_here != count:
        return None
    if start + size == at and count != _UNSET16:
        return _Frame(start, size, count)
    return _frame64_at(file, at - _LOCATOR64.size, _Frame(start, size, count))


def _frame64_at(file: BinaryIO, locator_at: int, short: _Frame) -> _Frame | None:
    """The same for zip64, whose numbers stand in for those that the short record left out."""
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
    return _Frame(start, size, count) if agree and start + size == at else None


def _read_directory(file: BinaryIO, frame: _Frame) -> Iterator[Entry]:
    directory = read_at(file, frame.start, frame.size)
    at = 0
    for _ in range(frame.count):
        if at + _CENTRAL.size > len(directory):
            raise ParcelBad("the directory holds fewer entries than it says")
        fixed = _CENTRAL.unpack_from(directory, at)
        mark, (name_length, extra_length, comment_length) = fixed[0], fixed[11:14]
        name_at = at + _CENTRAL.size
        extra_at = name_at + name_length
        comment_at = extra_at + extra_length
        at = comment_at + comment_length
        if mark != b"PK\x01\x02" or at > len(directory):
            raise ParcelBad("the directory is damaged")
        yield _read_entry(file, frame, fixed, directory[name_at:extra_at], directory[extra_at:comment_at])
    if at != len(directory):
        raise ParcelBad("the directory holds more than it says")


def _read_entry(file: BinaryIO, frame: _Frame, fixed: tuple[int, ...], name: bytes, extra: bytes) -> Entry:
    _, _, system, _, flags, method, _, _, crc, packed, size, _, _, _, disk, _, attributes, starts_at = fixed
    size, packed, starts_at = _long_numbers(extra, size, packed, starts_at)
    if disk:
        raise ParcelBad("a part of a zip in several volumes")
    if starts_at + _LOCAL.size + len(name) + packed > frame.start:
        raise ParcelBad("an entry reaches beyond the zip")
    ends_at, fault = _check_local(file, starts_at, name=name, flags=flags, method=method, packed=packed)
    if ends_at > frame.start:
        raise ParcelBad("an entry reaches beyond the zip")
    if fault is None and method not in {_STORED, _DEFLATED}:
        fault = f"is compressed by method {method}, which is not read"
    if fault is None and system == _MADE_ON_UNIX and stat.S_ISLNK(attributes >> 16):
        fault = "is a symbolic link"
    text, *others = _readings(name, flags)
    return Entry(text, starts_at, ends_at, packed, size, crc, method, fault, tuple(others))


def _long_numbers(extra: bytes, *short: int) -> tuple[int, int, int]:
    """Size, packed size and place, with those that are left out taken from the zip64 field, in this order."""
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
        raise ParcelBad("an entry's sizes are missing")
    return numbers[0], numbers[1], numbers[2]


def _check_local(
    file: BinaryIO, starts_at: int, *, name: bytes, flags: int, method: int, packed: int
) -> tuple[int, str | None]:
    """Where the packed bytes end, and what is wrong with the entry's own header."""
    mark, _, own_flags, own_method, *_, name_length, extra_length = _LOCAL.unpack(
        read_at(file, starts_at, _LOCAL.size)
    )
    if mark != b"PK\x03\x04":
        return starts_at + _LOCAL.size + len(name) + packed, "has a damaged header"
    own_name = read_at(file, starts_at + _LOCAL.size, name_length)
    ends_at = starts_at + _LOCAL.size + name_length + extra_length + packed
    if (flags | own_flags) & _ENCRYPTED:
        return ends_at, "is encrypted"
    agree = own_name == name or not set(_readings(own_name, own_flags)).isdisjoint(_readings(name, flags))
    return ends_at, None if agree and own_method == method else "has a damaged header"


def _readings(name: bytes, flags: int) -> tuple[str, ...]:
    """A name's text, and what else it may be where nothing says how it is encoded."""
    if name.isascii():
        return (name.decode(),)
    if flags & _UTF8:
        return (name.decode("utf-8", "replace"),)
    readings = (name.decode("cp437"), *other_readings(name))
    try:
        return (name.decode("utf-8"), *readings)
    except UnicodeDecodeError:
        return readings


def unpack(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    """The entry's bytes in pieces of at most 1 MiB; EntryBad as soon as they are more than the entry says, and at the
    end where they are fewer or their CRC is another.
    """
    if entry.fault is not None:
        raise EntryBad(entry.fault)
    count = crc = 0
    try:
        for piece in _unpacked(file, entry):
            count += len(piece)
            if count > entry.size:
                raise EntryBad("is larger than it says")
            crc = zlib.crc32(piece, crc)
            yield piece
    except zlib.error as error:
        raise EntryBad("is damaged") from error
    if count != entry.size:
        raise EntryBad("is smaller than it says")
    if crc != entry.crc:
        raise EntryBad("has a wrong checksum")


def _unpacked(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    packed_at = range(entry.ends_at - entry.packed, entry.ends_at, _READ_BYTES)
    pieces = (read_at(file, at, min(_READ_BYTES, entry.ends_at - at)) for at in packed_at)
    if entry.method == _STORED:
        yield from pieces
        return
    try:
        yield from inflated(pieces, RAW, MOST_PIECE_BYTES)
    except TrailingBytes:
        raise EntryBad("is followed by something") from None
    except CutShort:
        raise EntryBad("is cut short") from None
