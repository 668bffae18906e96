"""The zip, proven by itself (skeleton; signatures are final)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class ParcelLimits:
    most_file_bytes: int = 1_000_000_000
    most_total_bytes: int = 20_000_000_000
    most_entries: int = 4096
    most_ratio: int = 500


@dataclass(frozen=True, slots=True)
class ParcelFile:
    doc_id: int
    file_type: str  # FA, MT, FU, FI; any other kept as text, upper case, at most 16 characters
    name: str  # the index's fileName
    ordinal: int  # 1, 2, … within the document, in the index's order
    size: int
    sha256: str  # hex
    entry: object  # opaque: for open_file


@dataclass(frozen=True, slots=True)
class Parcel:
    files: tuple[ParcelFile, ...]
    collided: frozenset[int]  # share a name with another document: fetch apart; no files here
    self_collided: frozenset[int]  # their own files share a name: alarm
    strangers: frozenset[int]  # never requested: ignored
    unindexed: tuple[str, ...]  # entries nobody indexed
    absent: tuple[tuple[int, str], ...]  # indexed (doc_id, type), without a file
    refused: Mapping[int, str]  # doc_id → reason; no files here
    odd_rows: int  # rows of the index that could not be read


def inspect_parcel(file: BinaryIO, *, requested: frozenset[int], limits: ParcelLimits) -> Parcel:
    raise NotImplementedError


def open_file(file: BinaryIO, parcel_file: ParcelFile) -> Iterator[bytes]:
    raise NotImplementedError
