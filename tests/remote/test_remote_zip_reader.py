"""Hostile, torn and unusual zips give a Parcel or ParcelBad, in bounded memory and time."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.errors import ParcelBad
from easytracking_sync.remote import Parcel, ParcelLimits, inspect_parcel, open_file
from easytracking_sync.remote.zip_reader import EntryBad, read_entries, unpack

if TYPE_CHECKING:
    from tests.remote.conftest import Packer

CORPUS = Path(__file__).parents[2] / ".." / "shared" / "corpus"
ZIPS = sorted([*(CORPUS / "zips").glob("*"), *(CORPUS / "fatturapa").glob("*.zip")])
REQUESTED = frozenset({1, 2})
SMALL = ParcelLimits(most_file_bytes=20_000_000, most_total_bytes=50_000_000)


def inspect(raw: bytes) -> Parcel:
    return inspect_parcel(io.BytesIO(raw), requested=REQUESTED, limits=SMALL)


@pytest.fixture(scope="module")
def good(pack: Packer) -> bytes:
    rows: list[tuple[object, object, object]] = [(1, "a.xml", "FA"), (1, "m.xml", "MT"), (2, "b.xml.p7m", "FA")]
    return pack(rows, [("a.xml", b"<a>1</a>" * 9), ("m.xml", b"<m/>"), ("b.xml.p7m", bytes(range(200)))]).getvalue()


@pytest.mark.skipif(not ZIPS, reason="the shared corpus is not beside this repository")
@pytest.mark.parametrize("path", ZIPS, ids=lambda path: path.name)
def test_every_zip_of_the_corpus_is_read_or_refused_in_bounded_memory(path: Path) -> None:
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            outcomes = [read_through(file)]
            with pytest.raises(ParcelBad):  # none of them has an indice.json
                inspect_parcel(file, requested=REQUESTED, limits=SMALL)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcomes
    assert peak < 20_000_000


def read_through(file: io.BufferedReader) -> list[int | str]:
    """Each entry's size, or why it is refused; or why the zip is refused."""
    outcomes: list[int | str] = []
    try:
        entries = read_entries(file, most=4096)
    except ParcelBad as error:
        return [str(error)]
    for entry in entries:
        try:
            outcomes.append(sum(len(piece) for piece in unpack(file, entry)))
        except EntryBad as error:
            outcomes.append(str(error))
    return outcomes


@pytest.mark.skipif(not ZIPS, reason="the shared corpus is not beside this repository")
def test_the_reader_agrees_with_python_s_zipfile() -> None:
    """Except for a zip whose comment is a zip: zipfile reads the inner directory with the outer bytes."""
    compared = 0
    for path in ZIPS:
        if path.name == "libzip__zip-in-archive-comment.zip":
            continue
        with path.open("rb") as file:
            try:
                entries = read_entries(file, most=4096)
                theirs = zipfile.ZipFile(file)
            except (ParcelBad, zipfile.BadZipFile, OSError):
                continue
            for entry, info in zip(entries, theirs.infolist(), strict=True):
                if entry.fault or entry.size > 10_000_000:
                    continue
                try:
                    ours = b"".join(unpack(file, entry))
                except EntryBad:
                    continue
                assert ours == theirs.read(info), path.name
                compared += 1
    assert compared > 100


@given(
    contents=st.lists(st.tuples(st.binary(max_size=300), st.sampled_from([0, 8]), st.booleans()), max_size=6),
    comment=st.binary(max_size=40),
    streamed=st.booleans(),
)
def test_every_zip_written_by_python_s_zipfile_is_read(
    contents: list[tuple[bytes, int, bool]], comment: bytes, *, streamed: bool
) -> None:
    body = io.BytesIO()

    class Unseekable(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, piece: bytes, /) -> int:  # type: ignore[override]
            return body.write(piece)

    with zipfile.ZipFile(Unseekable() if streamed else body, "w") as zipped:
        zipped.comment = comment
        for number, (content, method, long_form) in enumerate(contents):
            info = zipfile.ZipInfo(f"{number}.xml")
            info.compress_type = method
            with zipped.open(info, "w", force_zip64=long_form) as target:
                target.write(content)
    entries = read_entries(body, most=10)
    assert [b"".join(unpack(body, entry)) for entry in entries] == [content for content, _, _ in contents]


def test_a_parcel_truncated_at_any_byte_is_bad(good: bytes) -> None:
    assert len(inspect(good).files) == 3
    for length in range(len(good)):
        with pytest.raises(ParcelBad):
            inspect(good[:length])


@given(st.data())
def test_a_parcel_with_changed_bytes_is_read_or_bad(good: bytes, data: st.DataObject) -> None:
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.sampled_from([0, 1, 8, 0x7F, 0x80, 0xFF]))
    sound = {found.sha256 for found in inspect(good).files}
    try:
        parcel = inspect(bytes(raw))
    except ParcelBad:
        return
    assert {found.sha256 for found in parcel.files} <= sound
    for found in parcel.files:
        assert sum(len(piece) for piece in open_file(io.BytesIO(bytes(raw)), found)) == found.size


def test_a_parcel_with_one_changed_byte_is_read_or_bad(good: bytes) -> None:
    sound = {found.sha256 for found in inspect(good).files}
    for at in range(len(good)):
        raw = bytearray(good)
        raw[at] ^= 0xFF
        try:
            parcel = inspect(bytes(raw))
        except ParcelBad:
            continue
        assert {found.sha256 for found in parcel.files} <= sound


@given(st.binary(max_size=400))
def test_random_bytes_are_a_bad_parcel(raw: bytes) -> None:
    with pytest.raises(ParcelBad):
        inspect(raw)


@pytest.mark.parametrize("before", [b"<html>Manutenzione</html>", b"\r\n", b"PK\x07\x08"])
def test_bytes_before_the_zip_are_bad(good: bytes, before: bytes) -> None:
    with pytest.raises(ParcelBad):
        inspect(before + good)
    with pytest.raises(ParcelBad, match="precede"):
        inspect(shifted(good, before))


def shifted(raw: bytes, before: bytes) -> bytes:
    """The zip after other bytes, with corrected offsets."""
    body = bytearray(before + raw)
    end = body.rindex(b"PK\x05\x06")
    size, start = struct.unpack_from("<2L", body, end + 12)
    struct.pack_into("<L", body, end + 16, start + len(before))
    at = start + len(before)
    while at < start + len(before) + size:
        (offset,) = struct.unpack_from("<L", body, at + 42)
        struct.pack_into("<L", body, at + 42, offset + len(before))
        at += 46 + sum(struct.unpack_from("<3H", body, at + 28))
    return bytes(body)


@pytest.mark.parametrize("after", [b"\n", b"<html>", bytes(70_000)])
def test_bytes_after_the_zip_are_bad(good: bytes, after: bytes) -> None:
    with pytest.raises(ParcelBad):
        inspect(good + after)


def test_two_zips_in_a_row_are_bad(good: bytes, pack: Packer) -> None:
    other = pack([(1, "a.xml", "FA")], [("a.xml", b"evil")]).getvalue()
    for raw in (good + other, good + shifted(other, b""), shifted(other, good)):
        with pytest.raises(ParcelBad):
            inspect(raw)


def test_a_zip_with_two_fitting_end_records_is_bad(good: bytes) -> None:
    """Readers would disagree about its content: one of the two records is that of an empty zip."""
    comment = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0, 0, 0, len(good), 0)
    raw = good[:-2] + struct.pack("<H", len(comment)) + comment
    with pytest.raises(ParcelBad, match="more than one end record"):
        inspect(raw)


def test_the_error_names_a_web_page() -> None:
    with pytest.raises(ParcelBad, match="web page"):
        inspect(b"\n<!DOCTYPE html><html><body>Manutenzione</body></html>")


def patched(raw: bytes, mark: bytes, number: int, at: int, layout: str, *values: int) -> bytes:
    """The zip with overwritten fields in its `number`th header of this kind."""
    body = bytearray(raw)
    place = -1
    for _ in range(number + 1):
        place = body.index(mark, place + 1)
    struct.pack_into(layout, body, place + at, *values)
    return bytes(body)


CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


@pytest.mark.parametrize(
    ("mark", "at", "layout", "values"),
    [
        (END, 4, "<H", (1,)),
        (END, 6, "<H", (1,)),
        (END, 8, "<H", (3,)),
        (END, 8, "<2H", (3, 3)),
        (END, 8, "<2H", (5, 5)),
        (END, 8, "<2H", (0xFFFF, 0xFFFF)),
        (END, 12, "<L", (0,)),
        (END, 16, "<L", (0xFFFFFFFF,)),
        (END, 20, "<H", (1,)),
        (CENTRAL, 0, "<L", (0,)),
        (CENTRAL, 20, "<L", (0xFFFFFFFF,)),
        (CENTRAL, 20, "<L", (0x7FFFFFFF,)),
        (CENTRAL, 28, "<H", (0xFFFF,)),
        (CENTRAL, 34, "<H", (1,)),
        (CENTRAL, 42, "<L", (0x7FFFFFFF,)),
        (CENTRAL, 42, "<L", (0xFFFFFFFF,)),
    ],
)
def test_a_damaged_directory_is_a_bad_parcel(
    good: bytes, mark: bytes, at: int, layout: str, values: tuple[int, ...]
) -> None:
    with pytest.raises(ParcelBad):
        inspect(patched(good, mark, 0, at, layout, *values))


@pytest.mark.parametrize(
    ("mark", "at", "layout", "value", "reason"),
    [
        (CENTRAL, 8, "<H", 1, "is encrypted"),
        (LOCAL, 6, "<H", 1, "is encrypted"),
        (CENTRAL, 10, "<H", 99, "has a damaged header"),
        (CENTRAL, 16, "<L", 0, "has a wrong checksum"),
        (CENTRAL, 24, "<L", 3, "is larger than declared"),
        (CENTRAL, 24, "<L", 5, "is smaller than declared"),
        (CENTRAL, 24, "<L", 0xFFFFFFFE, "inflates to 4294967294 bytes, more than 20000000"),
        (CENTRAL, 38, "<L", 0o120777 << 16, "is a symbolic link"),
        (LOCAL, 0, "<L", 0, "has a damaged header"),
        (LOCAL, 30, "<B", 0x7A, "has a damaged header"),
    ],
)
def test_a_damaged_entry_is_refused_alone(
    good: bytes, mark: bytes, at: int, layout: str, value: int, reason: str
) -> None:
    raw = patched(good, mark, 1, at, layout, value)
    if at == 38:
        raw = patched(raw, mark, 1, 5, "<B", 3)
    parcel = inspect(raw)
    assert dict(parcel.refused) == {1: f"MT {reason}"}
    assert [(found.doc_id, found.file_type) for found in parcel.files] == [(1, "FA"), (2, "FA")]


def test_overlapping_entries_are_bad(good: bytes) -> None:
    with pytest.raises(ParcelBad, match="overlap"):
        inspect(patched(good, CENTRAL, 1, 42, "<L", 0))
    first = struct.unpack_from("<L", good, good.index(CENTRAL) + 20)[0]
    with pytest.raises(ParcelBad, match="overlap"):
        inspect(patched(good, CENTRAL, 0, 20, "<L", first + 1))


def test_a_zip_bomb_is_refused_at_the_limit_in_bounded_memory(pack: Packer) -> None:
    """It declares a small size and would inflate to 200 MB."""
    raw = pack([(1, "a.xml", "FA"), (2, "b.xml", "FA")], [("a.xml", bytes(200_000_000)), ("b.xml", b"b")]).getvalue()
    lying = patched(raw, CENTRAL, 0, 24, "<L", 19_000_000)
    tracemalloc.start()
    try:
        parcel = inspect(lying)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert dict(parcel.refused) == {1: "FA is larger than declared"}
    assert [found.doc_id for found in parcel.files] == [2]
    assert peak < 8_000_000


def test_an_index_that_is_a_zip_bomb_is_bad(pack: Packer) -> None:
    with pytest.raises(ParcelBad, match=r"indice\.json of"):
        inspect(pack([], [], index=b" " * 50_000_000).getvalue())


def test_an_index_with_too_many_rows_is_bad(pack: Packer) -> None:
    rows: list[tuple[object, object, object]] = [(1, "a.xml", f"T{number}") for number in range(5000)]
    with pytest.raises(ParcelBad, match="5000 rows"):
        inspect(pack(rows, [("a.xml", b"a")]).getvalue())
