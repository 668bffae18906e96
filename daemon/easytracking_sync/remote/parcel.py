"""The parcel, a job's zip: verified by its content alone (vendor's document, sections 7 and 12).

ParcelBad rejects the whole parcel, because it may be torn or hostile: not exactly one fitting end record (cut short,
two zips in a row, several volumes), bytes before the first entry, a damaged directory, overlapping entries, too many
entries, too many bytes in total, or an `indice.json` that is missing, duplicated, damaged or of another shape.

Some faults reject one file only: an entry that is encrypted, a link, damaged, of a wrong checksum, of an unknown
compression method, or too large. `refused` names the reason; the document's other files are kept. Documents that
share a file name with another document yield no files and are in `collided`.

Ignored: documents that were not requested, entries without an index row, unreadable index rows. An empty file counts
as absent.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import BinaryIO, Final

from easytracking_sync.errors import ParcelBad
from easytracking_sync.lenient_json import BOM, doc_id_or_none, read_value, text_or_none
from easytracking_sync.remote.entry_names import EntryNames, path_of
from easytracking_sync.remote.zip_reader import EntryBad, ZipEntry, read_entries, unpack

INDEX_NAME: Final = "indice.json"
MOST_INDEX_BYTES: Final = 4 * 1024 * 1024
MOST_TYPE_TEXT: Final = 16
UNNAMED_TYPE: Final = "?"
"""The type of a file whose row has none."""

_RATIO_COUNTS_FROM_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ParcelLimits:
    """Upper limits for one file (which is refused) and for the parcel (ParcelBad)."""

    most_file_bytes: int = 1_000_000_000
    most_total_bytes: int = 10_000_000_000
    most_entries: int = 4096
    most_ratio: int = 500  # inflated : packed bytes of one file; checked from 64 MiB on


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """One verified file of a document."""

    doc_id: int
    file_type: str  # FA, MT, FU, FI, or another text in upper case, at most 16 characters
    name: str  # the index's fileName (U+FFFD for NUL and lone surrogates); never use it as a path
    ordinal: int  # 1, 2, … within its document, in the index's order
    size: int
    sha256: str  # hex
    entry: ZipEntry = field(repr=False)  # only for `open_file`


@dataclass(frozen=True, slots=True)
class Parcel:
    """The content of a verified parcel. `files` has none of a document in `collided`."""

    files: tuple[VerifiedFile, ...]
    collided: frozenset[int]  # documents that share a file name with another: fetch each alone
    self_collided: frozenset[int]  # documents whose own files share a name; told apart by the index's order
    strangers: frozenset[int]  # documents that were not requested
    unindexed: tuple[str, ...]  # names of entries without an index row
    absent: tuple[tuple[int, str], ...]  # (docId, type) requested and indexed, but missing or empty
    refused: Mapping[int, str]  # docId → which file is unusable, and why
    odd_rows: int  # index rows without a usable id or name


@dataclass(frozen=True, slots=True)
class _Row:
    doc_id: int
    name: str
    file_type: str


@dataclass(frozen=True, slots=True)
class _Claims:
    """Which entry belongs to which row, in the index's order, and what could not be assigned."""

    pairs: list[tuple[_Row, ZipEntry]]
    collided: set[int]
    self_collided: set[int]
    absent: list[_Row]
    unindexed: list[str]


def inspect_parcel(file: BinaryIO, *, requested: frozenset[int], limits: ParcelLimits) -> Parcel:
    """Verify every file of the requested documents: inflate it, count its bytes, compare its CRC, hash it.

    `file` is seekable. Nothing is written, and memory stays bounded whatever the zip contains. ParcelBad as
    described above; StorageFault if reading fails. Repeating is safe.
    """
    entries = read_entries(file, most=limits.most_entries)
    index = _find_index(entries)
    rows, odd_rows = _read_index(file, index, limits)
    claims = _claim(rows, [entry for entry in entries if entry is not index], is_alone=len(requested) == 1)
    collided = claims.collided & requested
    pairs = [(row, entry) for row, entry in claims.pairs if row.doc_id in requested - collided]
    files, refused, empty = _verify(file, pairs, limits)
    absent = [(row.doc_id, row.file_type) for row in claims.absent + empty if row.doc_id in requested]
    return Parcel(
        files=tuple(files),
        collided=frozenset(collided),
        self_collided=frozenset(claims.self_collided & requested - collided),
        strangers=frozenset(row.doc_id for row in rows) - requested,
        unindexed=tuple(claims.unindexed),
        absent=tuple(absent),
        refused=MappingProxyType(refused),
        odd_rows=odd_rows,
    )


def open_file(file: BinaryIO, verified: VerifiedFile) -> Iterator[bytes]:
    """The file's bytes in pieces of at most 1 MiB, verified once more.

    ParcelBad, at the latest after the last piece, if they differ from the inspected ones.
    """
    digest = hashlib.sha256()
    try:
        for piece in unpack(file, verified.entry):
            digest.update(piece)
            yield piece
    except EntryBad as error:
        raise ParcelBad(f"a verified file {error} now") from error
    if digest.hexdigest() != verified.sha256:
        raise ParcelBad("a verified file has other bytes now")


def _find_index(entries: Iterable[ZipEntry]) -> ZipEntry:
    """`indice.json`, preferably with this exact name at the root; else in another case, else inside one folder."""
    ranked = defaultdict(list)
    for entry in entries:
        folders, _, name = path_of(entry.name).rpartition("/")
        if name.casefold() == INDEX_NAME and "/" not in folders:
            ranked[(bool(folders), name != INDEX_NAME)].append(entry)
    if not ranked:
        raise ParcelBad(f"no {INDEX_NAME}")
    best = ranked[min(ranked)]
    if len(best) > 1:
        raise ParcelBad(f"more than one {INDEX_NAME}")
    return best[0]


def _read_index(file: BinaryIO, index: ZipEntry, limits: ParcelLimits) -> tuple[list[_Row], int]:
    """The readable rows, each once, and the number of unreadable ones."""
    if index.size > MOST_INDEX_BYTES:
        raise ParcelBad(f"{INDEX_NAME} of {index.size} bytes")
    try:
        body = b"".join(unpack(file, index))
        answer = read_value(_as_utf8(body))
    except (EntryBad, ValueError) as error:
        raise ParcelBad(f"{INDEX_NAME} {error if isinstance(error, EntryBad) else 'is not JSON'}") from error
    listed = _folded(answer).get("files") if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise ParcelBad(f"{INDEX_NAME} holds no list of files")
    if len(listed) > limits.most_entries:
        raise ParcelBad(f"{INDEX_NAME} has {len(listed)} rows, more than {limits.most_entries}")
    rows = [_read_row(row) for row in listed]
    return list(dict.fromkeys(row for row in rows if row is not None)), rows.count(None)


def _as_utf8(body: bytes) -> bytes:
    if body[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return body.decode("utf-16", "replace").encode()
    return body.removeprefix(BOM)


def _read_row(row: object) -> _Row | None:
    if not isinstance(row, dict):
        return None
    fields = _folded(row)
    doc_id, name = doc_id_or_none(fields.get("id")), fields.get("filename")
    if doc_id is None or not isinstance(name, str) or not name:
        return None
    file_type = (text_or_none(fields.get("filetype")) or "").strip().upper()
    return _Row(doc_id, name, file_type[:MOST_TYPE_TEXT] or UNNAMED_TYPE)


def _folded(fields: dict[str, object]) -> dict[str, object]:
    return {name.casefold(): value for name, value in fields.items()}


def _claim(rows: list[_Row], entries: list[ZipEntry], *, is_alone: bool) -> _Claims:
    """Assign an entry to every row.

    Two documents collide if their rows have the same name. A document also collides if its name has more entries than
    rows, because a surplus entry may be another document's. If one document was requested, its names can only collide
    with each other: all entries are assigned in order, and the last entry or row is used again if too few exist.
    """
    by_name: dict[str, list[ZipEntry]] = defaultdict(list)
    for entry in entries:
        if not entry.is_folder:
            by_name[entry.name].append(entry)
    claims = _Claims([], set(), set(), [], [])
    claimants: dict[str, list[_Row]] = defaultdict(list)
    names = EntryNames(by_name, {entry.name: entry.other_names for entry in entries})
    for row in rows:
        found = names.meant_by(row.name)
        if found is None:
            claims.absent.append(row)
        else:
            claimants[found].append(row)
    for name, owners in claimants.items():
        doc_ids = {row.doc_id for row in owners}
        holders = by_name[name]
        if len(doc_ids) > 1 or (len(holders) > len(owners) and not is_alone):
            claims.collided.update(doc_ids)
            continue
        if len(holders) > 1 or len(owners) > 1:
            claims.self_collided.update(doc_ids)
        for place in range(max(len(owners), len(holders))):
            claims.pairs.append((owners[min(place, len(owners) - 1)], holders[min(place, len(holders) - 1)]))
    claims.unindexed.extend(name for name in by_name if name not in claimants)
    order = {row: place for place, row in enumerate(rows)}
    claims.pairs.sort(key=lambda pair: order[pair[0]])
    return claims


def _verify(
    file: BinaryIO, pairs: list[tuple[_Row, ZipEntry]], limits: ParcelLimits
) -> tuple[list[VerifiedFile], dict[int, str], list[_Row]]:
    """The intact files, the documents with an unusable file and why, and the rows whose file is empty."""
    readable = {entry.starts_at: entry.size for _, entry in pairs if entry.size <= limits.most_file_bytes}
    if sum(readable.values()) > limits.most_total_bytes:
        raise ParcelBad(f"{sum(readable.values())} bytes inflated, more than {limits.most_total_bytes}")
    refused: dict[int, str] = {}
    empty: list[_Row] = []
    files: dict[int, list[VerifiedFile]] = defaultdict(list)
    digests: dict[int, str] = {}
    for row, entry in pairs:
        try:
            sha256 = digests.get(entry.starts_at) or _digest(file, entry, limits)
        except EntryBad as error:
            refused.setdefault(row.doc_id, f"{row.file_type} {error}")
            continue
        digests[entry.starts_at] = sha256
        if not entry.size:
            empty.append(row)
            continue
        name, ordinal = text_or_none(row.name) or "", len(files[row.doc_id]) + 1
        files[row.doc_id].append(VerifiedFile(row.doc_id, row.file_type, name, ordinal, entry.size, sha256, entry))
    return [found for group in files.values() for found in group], refused, empty


def _digest(file: BinaryIO, entry: ZipEntry, limits: ParcelLimits) -> str:
    if entry.size > limits.most_file_bytes:
        raise EntryBad(f"inflates to {entry.size} bytes, more than {limits.most_file_bytes}")
    if entry.size > max(_RATIO_COUNTS_FROM_BYTES, limits.most_ratio * entry.packed):
        raise EntryBad(f"inflates {entry.packed} bytes to {entry.size}")
    digest = hashlib.sha256()
    for piece in unpack(file, entry):
        digest.update(piece)
    return digest.hexdigest()
