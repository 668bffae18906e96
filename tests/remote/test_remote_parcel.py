"""Files are assigned to their documents, and a faulty document does not affect the others."""

from __future__ import annotations

import hashlib
import io
import struct
import unicodedata
import zipfile
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easytracking_sync.errors import ParcelBad, StorageFault
from easytracking_sync.remote import Parcel, ParcelLimits, entry_names, inspect_parcel, open_file
from easytracking_sync.remote.entry_names import MOST_COMPARED_CHARS

if TYPE_CHECKING:
    from tests.remote.conftest import Packer

Row = tuple[Any, Any, Any]
Entries = list[tuple[str, bytes]]
LIMITS = ParcelLimits()

filenames = pytest.mark.filterwarnings("ignore:Duplicate name")


def inspect(body: io.BytesIO, *requested: int, limits: ParcelLimits = LIMITS) -> Parcel:
    return inspect_parcel(body, requested=frozenset(requested), limits=limits)


def told(parcel: Parcel) -> list[tuple[int, str, str, int]]:
    return [(found.doc_id, found.file_type, found.name, found.ordinal) for found in parcel.files]


def test_the_vendor_s_example_is_read_byte_for_byte(pack: Packer) -> None:
    rows: list[Row] = [
        (4574622, "20230619_141959147.a7_IT06628860964_9FKju.xml.p7m", "FA"),
        (4574622, "20230619_141959147.a7_IT06628860964_9FKju_MT_001.xml", "MT"),
        (4574622, "IT07031780484_4581939.xml", "FU"),
        (4575300, "20230619_152243878.ef_IT016417907022023Y_05Xa6.xml", "FA"),
    ]
    entries = [(name, f"content of {name}".encode() * 9) for _, name, _ in rows]
    body = pack(rows, entries)
    parcel = inspect(body, 4574622, 4575300)
    assert told(parcel) == [
        (*row[:1], row[2], row[1], ordinal) for row, ordinal in zip(rows, (1, 2, 3, 1), strict=True)
    ]
    for found, (_, content) in zip(parcel.files, entries, strict=True):
        assert (found.size, found.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert b"".join(open_file(body, found)) == content
    assert parcel == Parcel(parcel.files, frozenset(), frozenset(), frozenset(), (), (), {}, 0)


def test_a_parcel_of_another_batch_holds_only_strangers(pack: Packer) -> None:
    parcel = inspect(pack([(9, "a.xml", "FA")], [("a.xml", b"x")]), 1, 2)
    assert parcel.files == ()
    assert parcel.strangers == {9}


def test_missing_extra_and_repeated_rows_do_not_affect_other_files(pack: Packer) -> None:
    rows: list[Row] = [(1, "a.xml", "FA"), (1, "a.xml", "FA"), (2, "gone.xml", "FA"), (2, "b.xml", "MT")]
    parcel = inspect(pack(rows, [("a.xml", b"a"), ("b.xml", b"b"), ("nobody.xml", b"n"), ("folder/", b"")]), 1, 2, 3)
    assert told(parcel) == [(1, "FA", "a.xml", 1), (2, "MT", "b.xml", 1)]
    assert parcel.absent == ((2, "FA"),)
    assert parcel.unindexed == ("nobody.xml",)


def test_an_empty_file_counts_as_absent(pack: Packer) -> None:
    parcel = inspect(pack([(1, "a.xml", "FA"), (1, "m.xml", "MT")], [("a.xml", b"a"), ("m.xml", b"")]), 1)
    assert told(parcel) == [(1, "FA", "a.xml", 1)]
    assert parcel.absent == ((1, "MT"),)


def test_an_empty_index_gives_an_empty_parcel(pack: Packer) -> None:
    assert inspect(pack([], []), 1).files == ()


@filenames
def test_documents_that_share_a_file_name_collide(pack: Packer) -> None:
    rows: list[Row] = [(1, "same.xml", "FA"), (1, "m.xml", "MT"), (2, "same.xml", "FA"), (3, "c.xml", "FA")]
    entries = [("same.xml", b"1"), ("m.xml", b"m"), ("same.xml", b"2"), ("c.xml", b"c")]
    for given_entries in (entries, entries[1:]):
        parcel = inspect(pack(rows, given_entries), 1, 2, 3)
        assert parcel.collided == {1, 2}
        assert told(parcel) == [(3, "FA", "c.xml", 1)]


@filenames
def test_surplus_entries_of_a_name_make_its_document_collide_if_others_were_requested(pack: Packer) -> None:
    body = pack(
        [(1, "same.xml", "FA"), (2, "b.xml", "FA")], [("same.xml", b"1"), ("same.xml", b"?"), ("b.xml", b"b")]
    )
    parcel = inspect(body, 1, 2)
    assert parcel.collided == {1}
    assert told(parcel) == [(2, "FA", "b.xml", 1)]


def test_a_document_collides_with_a_stranger_that_shares_its_file_name(pack: Packer) -> None:
    parcel = inspect(pack([(1, "a.xml", "FA"), (9, "a.xml", "FA")], [("a.xml", b"a")]), 1)
    assert parcel.collided == {1}
    assert parcel.files == ()


@filenames
def test_all_files_of_one_document_with_the_same_name_are_kept_in_order(pack: Packer) -> None:
    rows: list[Row] = [(1, "same.xml", "FA"), (1, "same.xml", "FU")]
    body = pack(rows, [("same.xml", b"first"), ("same.xml", b"second")])
    for requested in ((1,), (1, 2)):
        parcel = inspect(body, *requested)
        assert told(parcel) == [(1, "FA", "same.xml", 1), (1, "FU", "same.xml", 2)]
        assert [b"".join(open_file(body, found)) for found in parcel.files] == [b"first", b"second"]
        assert parcel.self_collided == {1}
        assert not parcel.collided


def test_one_entry_is_assigned_to_two_types_of_one_document(pack: Packer) -> None:
    parcel = inspect(pack([(1, "a.xml", "FA"), (1, "a.xml", "FU")], [("a.xml", b"a")]), 1, 2)
    assert [found.file_type for found in parcel.files] == ["FA", "FU"]
    assert parcel.self_collided == {1}


@filenames
def test_a_surplus_entry_is_kept_if_one_document_was_requested(pack: Packer) -> None:
    parcel = inspect(pack([(1, "a.xml", "FA")], [("a.xml", b"a"), ("a.xml", b"b")]), 1)
    assert told(parcel) == [(1, "FA", "a.xml", 1), (1, "FA", "a.xml", 2)]
    assert parcel.self_collided == {1}


@pytest.mark.parametrize(
    ("indexed", "packed"),
    [
        ("a.xml", "A.XML"),
        ("cartella\\a.xml", "a.xml"),
        ("a.xml", "cartella/sotto/a.xml"),
        ("../../etc/a.xml", "a.xml"),
        ("C:\\temp\\a.xml", "C:\\temp\\a.xml"),
        ("/a.xml", "./a.xml"),
        ("perche\u0301.xml", "perch\u00e9.xml"),
    ],
)
def test_a_loosely_equal_name_is_found_if_it_is_the_only_one(pack: Packer, indexed: str, packed: str) -> None:
    rows: list[Row] = [(1, indexed, "FA")]
    assert told(inspect(pack(rows, [(packed, b"a")]), 1)) == [(1, "FA", indexed, 1)]
    two = inspect(pack([(1, "x/A.xml", "FA")], [("y/a.xml", b"a"), ("z/a.xml", b"b")]), 1)
    assert (two.files, two.absent) == ((), ((1, "FA"),))


@pytest.mark.parametrize(
    ("indexed", "packed"),
    [
        ("1\\a.xml", "1/a.xml"),
        ("./1/a.xml", "1/a.xml"),
        ("1/A.xml", "1/a.xml"),
        ("1/perche\u0301.xml", "1/perch\u00e9.xml"),
    ],
)
def test_whole_paths_are_compared_before_base_names(pack: Packer, indexed: str, packed: str) -> None:
    """One folder per document: the same base name in another folder belongs to another document."""
    others = [(packed.replace("1/", f"{number}/"), b"%d" % number) for number in (2, 3)]
    rows: list[Row] = [(1, indexed, "FA"), (2, others[0][0], "FA"), (3, others[1][0], "FA")]
    body = pack(rows, [(packed, b"1"), *others])
    assert [b"".join(open_file(body, found)) for found in inspect(body, 1, 2, 3).files] == [b"1", b"2", b"3"]


def test_an_ambiguous_name_affects_only_its_own_document(pack: Packer) -> None:
    rows: list[Row] = [(1, "A.XML", "FA"), (2, "b.xml", "FA")]
    parcel = inspect(pack(rows, [("a.xml", b"1"), ("a.XML", b"2"), ("b.xml", b"b")]), 1, 2)
    assert told(parcel) == [(2, "FA", "b.xml", 1)]
    assert parcel.absent == ((1, "FA"),)


@pytest.mark.parametrize("code_page", ["cp437", "cp850", "cp1252", "utf-8"])
def test_a_name_in_an_undeclared_code_page_is_found(pack: Packer, code_page: str) -> None:
    raw = "perch\u00e9.xml".encode(code_page)
    ascii_name = "x" * len(raw)
    body = pack([(1, "perch\u00e9.xml", "FA"), (2, "b.xml", "FA")], [(ascii_name, b"a"), ("b.xml", b"b")])
    parcel = inspect(io.BytesIO(body.getvalue().replace(ascii_name.encode(), raw)), 1, 2)
    assert told(parcel) == [(1, "FA", "perch\u00e9.xml", 1), (2, "FA", "b.xml", 1)]


def test_an_entry_with_its_name_in_two_code_pages_is_read(pack: Packer) -> None:
    """The encoded names differ in length; the neighbouring entries do not count as overlapping."""
    body = bytearray(
        pack([(1, "\u00e9.xml", "FA"), (2, "b.xml", "FA")], [("\u00e9.xml", b"a"), ("b.xml", b"b")]).getvalue()
    )
    name = "\u00e9.xml".encode()
    at = body.index(name)
    body[at : at + len(name)] = "\u00e9.xml".encode("cp437")
    struct.pack_into("<H", body, at - 4, len(name) - 1)
    struct.pack_into("<H", body, at - 2, 0)
    struct.pack_into("<H", body, at - 24, 0)
    for offset in (m for m in range(len(body) - 46) if body[m : m + 4] == b"PK\x01\x02"):
        (starts_at,) = struct.unpack_from("<L", body, offset + 42)
        struct.pack_into("<L", body, offset + 42, starts_at - (starts_at > 0))
    end = body.rindex(b"PK\x05\x06")
    struct.pack_into("<L", body, end + 16, struct.unpack_from("<L", body, end + 16)[0] - 1)
    parcel = inspect(io.BytesIO(bytes(body)), 1, 2)
    assert told(parcel) == [(1, "FA", "\u00e9.xml", 1), (2, "FA", "b.xml", 1)]


def test_a_very_long_name_is_compared_without_normalisation(pack: Packer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Normalisation would block the interpreter. The other documents are read."""

    def normalize(form: Literal["NFC"], text: str) -> str:
        assert len(text) <= MOST_COMPARED_CHARS
        return unicodedata.normalize(form, text)

    monkeypatch.setattr(entry_names, "normalize", normalize)
    frozen = "a" + "\u0315\u0316" * 60_000
    rows: list[Row] = [(1, frozen, "FA"), (2, "b.xml", "FA")]
    parcel = inspect(pack(rows, [("a.xml", b"a"), ("b.xml", b"b")]), 1, 2)
    assert told(parcel) == [(2, "FA", "b.xml", 1)]
    assert parcel.absent == ((1, "FA"),)
    long = "\u00e9" * 20_000
    assert told(inspect(pack([(1, long, "FA")], [(long, b"a")]), 1)) == [(1, "FA", long, 1)]


def test_the_exact_name_is_preferred_to_a_loosely_equal_one(pack: Packer) -> None:
    body = pack([(1, "a.xml", "FA"), (2, "A.xml", "FA")], [("A.xml", b"2"), ("a.xml", b"1")])
    assert [b"".join(open_file(body, found)) for found in inspect(body, 1, 2).files] == [b"1", b"2"]


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a\x07b\n.xml", "n" * 300, "CON", "è €.xml", "a\0b"])
def test_names_are_kept_unchanged_and_never_used_as_paths(pack: Packer, name: str) -> None:
    packed = name.replace("\0", "?")
    body = pack([(1, name, "FA"), (2, "b.xml", "FA")], [(packed, b"a"), ("b.xml", b"b")])
    parcel = inspect(io.BytesIO(body.getvalue().replace(b"a?b", b"a\0b")), 1, 2)
    assert told(parcel) == [(1, "FA", name.replace("\0", "\ufffd"), 1), (2, "FA", "b.xml", 1)]


@pytest.mark.parametrize("name", ["indice.json", "INDICE.JSON", "out/indice.json", "out\\Indice.json"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_index_is_read_with_every_name_and_encoding(pack: Packer, name: str, coding: str) -> None:
    index = '{"Files": [{"ID": "7", "FILENAME": "perch\u00e9.xml", "filetype": " fa "}], "altro": 1}'.encode(coding)
    parcel = inspect(pack([], [("perch\u00e9.xml", b"a")], index=index, index_name=name), 7)
    assert told(parcel) == [(7, "FA", "perch\u00e9.xml", 1)]


def test_unreadable_rows_are_counted_and_affect_only_themselves(pack: Packer) -> None:
    index = b"""{"files": [17, null, {}, {"id": 0, "fileName": "a.xml"}, {"id": 1, "fileName": null},
        {"id": 1, "fileName": "\\ud800", "fileType": "MT"}, {"id": 1, "fileName": "a.xml", "fileType": 9},
        {"id": 1, "fileName": "b.xml", "fileType": "a\\u0000very long type of file"}]}"""
    parcel = inspect(pack([], [("a.xml", b"a"), ("b.xml", b"b")], index=index), 1)
    assert told(parcel) == [(1, "?", "a.xml", 1), (1, "A\ufffdVERY LONG TYPE", "b.xml", 2)]
    assert (parcel.odd_rows, parcel.absent) == (5, ((1, "MT"),))


@pytest.mark.parametrize(
    "index",
    [b"", b"<html>", b"[]", b"null", b'{"files": {}}', b'{"file": []}', b'{"files": [', b"\xff\xfe\x00", b"[" * 9999],
)
def test_an_index_of_another_shape_is_a_bad_parcel(pack: Packer, index: bytes) -> None:
    with pytest.raises(ParcelBad, match=r"indice\.json"):
        inspect(pack([], [("a.xml", b"a")], index=index), 1)


@filenames
def test_a_missing_or_duplicated_index_is_a_bad_parcel(pack: Packer) -> None:
    with pytest.raises(ParcelBad, match="no indice"):
        inspect(pack([], [], index_name="a/b/indice.json"), 1)
    with pytest.raises(ParcelBad, match="more than one"):
        inspect(pack([], [("indice.json", b"{}")]), 1)


def flip(body: io.BytesIO, content: bytes) -> io.BytesIO:
    """The same parcel with one bit of a stored file flipped."""
    raw = bytearray(body.getvalue())
    raw[raw.index(content)] ^= 1
    return io.BytesIO(bytes(raw))


def three(pack: Packer, content: bytes, *, compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    rows: list[Row] = [(1, "a.xml", "FA"), (2, "b.xml", "FA"), (2, "m.xml", "MT"), (3, "c.xml", "FA")]
    entries = [("a.xml", b"aaaa"), ("b.xml", b"bbbb"), ("m.xml", content), ("c.xml", b"cccc")]
    return pack(rows, entries, compression=compression)


def only_the_second_is_refused(parcel: Parcel, reason: str) -> None:
    assert told(parcel) == [(1, "FA", "a.xml", 1), (2, "FA", "b.xml", 1), (3, "FA", "c.xml", 1)]
    assert dict(parcel.refused) == {2: f"MT {reason}"}


def test_a_wrong_checksum_refuses_only_that_file(pack: Packer) -> None:
    only_the_second_is_refused(inspect(flip(three(pack, b"secret"), b"secret"), 1, 2, 3), "has a wrong checksum")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unknown_compression_method_refuses_only_that_file(pack: Packer, method: int) -> None:
    body = io.BytesIO(three(pack, b"m").getvalue())
    with zipfile.ZipFile(body) as source:
        held = {name: source.read(name) for name in source.namelist()}
    odd = io.BytesIO()
    with zipfile.ZipFile(odd, "w") as target:
        for name, content in held.items():
            target.writestr(name, content, method if name == "m.xml" else zipfile.ZIP_STORED)
    parcel = inspect(odd, 1, 2, 3)
    only_the_second_is_refused(parcel, f"is compressed by method {method}, which is not supported")


def test_a_file_beyond_the_limit_is_refused_without_inflating_it(pack: Packer) -> None:
    body = three(pack, bytes(5_000_000), compression=zipfile.ZIP_DEFLATED)
    parcel = inspect(body, 1, 2, 3, limits=ParcelLimits(most_file_bytes=1_000_000, most_total_bytes=2_000_000))
    only_the_second_is_refused(parcel, "inflates to 5000000 bytes, more than 1000000")


def test_an_extreme_compression_ratio_refuses_only_that_file(pack: Packer) -> None:
    body = three(pack, bytes(70_000_000), compression=zipfile.ZIP_DEFLATED)
    parcel = inspect(body, 1, 2, 3)
    assert list(parcel.refused) == [2]
    assert "inflates" in parcel.refused[2]


def test_a_total_or_a_count_beyond_the_limits_is_a_bad_parcel(pack: Packer) -> None:
    for limits in (ParcelLimits(most_total_bytes=11), ParcelLimits(most_entries=4)):
        with pytest.raises(ParcelBad, match="more than"):
            inspect(three(pack, b""), 1, 2, 3, limits=limits)


def test_a_file_that_changed_after_its_inspection_raises_parcel_bad(pack: Packer) -> None:
    body = three(pack, b"secret")
    (found,) = (each for each in inspect(body, 2).files if each.file_type == "MT")
    with pytest.raises(ParcelBad, match="verified"):
        b"".join(open_file(flip(body, b"secret"), found))


def test_a_read_error_of_the_disk_raises_storage_fault(pack: Packer) -> None:
    class Failing(io.BytesIO):
        def read(self, count: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(StorageFault, match="Input/output"):
        inspect(Failing(three(pack, b"m").getvalue()), 1)


NAMES = st.sampled_from(["a.xml", "A.xml", "b.xml", "x/b.xml", "c.xml"])


@filenames
@given(
    rows=st.lists(st.tuples(st.integers(1, 4), NAMES, st.sampled_from(["FA", "MT", "FU"])), max_size=8),
    entries=st.lists(st.tuples(NAMES, st.binary(max_size=3)), max_size=8),
    requested=st.sets(st.integers(1, 5), min_size=1),
)
def test_no_index_assigns_a_file_to_a_document_that_does_not_own_it(
    pack: Packer, rows: list[Row], entries: Entries, requested: set[int]
) -> None:
    body = pack(rows, entries)
    parcel = inspect(body, *requested)
    owners: dict[int, set[int]] = {}
    for found in parcel.files:
        assert found.doc_id in requested - parcel.collided - set(parcel.refused)
        assert (found.doc_id, found.name, found.file_type) in rows
        assert b"".join(open_file(body, found)) in [content for _, content in entries]
        owners.setdefault(found.entry.starts_at, set()).add(found.doc_id)
    assert all(len(doc_ids) == 1 for doc_ids in owners.values())
    assert parcel.strangers == {doc_id for doc_id, _, _ in rows} - requested
    assert parcel.collided <= requested
    ordinals = [(found.doc_id, found.ordinal) for found in parcel.files]
    assert len(set(ordinals)) == len(ordinals)
