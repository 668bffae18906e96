"""Rules that every blob store must follow. To test another one, add it to `BACKENDS`.

What only the database's own blobs promise comes at the end.
"""

from __future__ import annotations

import hashlib
import random
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.archive.archive_harness import ArchiveHarness, source_of

from easytracking_sync.archive import tables
from easytracking_sync.archive.blob_files import FileBlobs
from easytracking_sync.archive.blobs import BlobRotten, Blobs, BlobSource
from easytracking_sync.effects import LocalFiles
from easytracking_sync.errors import StorageFault

MEBIBYTE = 1 << 20
SMALL = b"<FatturaElettronica>" + bytes(range(64)) + b"</FatturaElettronica>"
LARGE = random.Random(1).randbytes(2 * MEBIBYTE + 12_345)
SHARED_SHELF = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])

Key = tuple[str, int]


@dataclass(frozen=True)
class Backend:
    """A store, and a way past it to the bytes as they lie."""

    blobs: Blobs
    lying: Callable[[], Mapping[Key, bytes]]  # every stored piece, by blob and position
    overwrite: Callable[[Key, bytes | None], None]  # None: the piece is gone

    def pieces_of(self, sha256: str) -> list[Key]:
        return sorted(key for key in self.lying() if key[0] == sha256)

    def keep(self, content: bytes) -> str:
        source = source_of(content)
        self.blobs.put([source])
        return source.sha256

    def read(self, sha256: str) -> bytes:
        return b"".join(self.blobs.read(sha256))


def in_database(archive_harness: ArchiveHarness) -> Backend:
    chunk = tables.blob_chunk

    def lying() -> Mapping[Key, bytes]:
        return {(row.sha256, row.position): row.content for row in archive_harness.rows(sa.select(chunk))}

    def overwrite(key: Key, content: bytes | None) -> None:
        here = (chunk.c.sha256 == key[0], chunk.c.position == key[1])
        change = sa.delete(chunk).where(*here)
        with archive_harness.archive.database.write() as connection:
            connection.execute(change if content is None else sa.update(chunk).where(*here).values(content=content))

    return Backend(archive_harness.archive.blobs, lying, overwrite)


def in_files(archive_harness: ArchiveHarness) -> Backend:
    root = archive_harness.folder / "blobs"

    def lying() -> Mapping[Key, bytes]:
        return {(path.name, 0): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def overwrite(key: Key, content: bytes | None) -> None:
        (path,) = root.rglob(key[0])
        path.unlink()
        if content is not None:
            path.write_bytes(content)

    return Backend(FileBlobs(root, LocalFiles(), "one"), lying, overwrite)


BACKENDS: Mapping[str, Callable[[ArchiveHarness], Backend]] = {"database": in_database, "files": in_files}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, archive_harness: ArchiveHarness) -> Backend:
    return BACKENDS[request.param](archive_harness)


@SHARED_SHELF
@given(content=st.binary(max_size=3000), piece=st.integers(1, 4000))
@example(content=b"", piece=1)
@example(content=bytes(3 * MEBIBYTE), piece=70_000)
@example(content=LARGE[:MEBIBYTE], piece=MEBIBYTE)
@example(content=LARGE[: MEBIBYTE + 1], piece=MEBIBYTE)
@example(content=LARGE, piece=9_999)
def test_what_was_put_is_read_byte_for_byte(backend: Backend, content: bytes, piece: int) -> None:
    """BYTE-IDENTITY: of any size (none at all, several chunks), however it is cut; putting again adds nothing."""
    source = source_of(content, piece)
    backend.blobs.put([source])
    before = backend.lying()
    assert backend.read(source.sha256) == content
    backend.blobs.put([source, source])
    assert backend.lying() == before


def test_many_blobs_go_in_at_once_and_none_stands_for_another(backend: Backend) -> None:
    contents = [str(number).encode() * number for number in range(50)]
    backend.blobs.put(source_of(content) for content in contents)
    assert [backend.read(hashlib.sha256(content).hexdigest()) for content in contents] == contents


def test_which_of_many_are_whole_is_told_at_once(backend: Backend) -> None:
    whole, rotten, gone = (backend.keep(content) for content in (SMALL, SMALL * 2, SMALL * 3))
    backend.overwrite(backend.pieces_of(rotten)[0], b"rot")
    backend.overwrite(backend.pieces_of(gone)[0], None)
    assert backend.blobs.whole([whole, rotten, gone, "0" * 64]) == {whole}
    assert backend.blobs.whole([]) == frozenset()


def test_a_blob_nobody_put_is_not_there(backend: Backend) -> None:
    with pytest.raises(BlobRotten, match="0" * 64):
        backend.read("0" * 64)


def comes_true(backend: Backend, sha256: str, content: bytes) -> bool:
    """Whether the read ends well; if it does, the bytes must be the right ones."""
    try:
        found = backend.read(sha256)
    except BlobRotten:
        return False
    assert found == content
    return True


def test_rot_in_any_byte_is_seen_by_whoever_reads_and_mended_by_the_next_put(backend: Backend) -> None:
    """Every byte as it lies, one after the other. Only rot that changes nothing of the content may pass."""
    sha256 = backend.keep(SMALL)
    (key,) = backend.pieces_of(sha256)
    lying = backend.lying()[key]
    passed = 0
    for position in range(len(lying)):
        rotten = bytearray(lying)
        rotten[position] ^= 0x55
        backend.overwrite(key, bytes(rotten))
        passed += comes_true(backend, sha256, SMALL)
    assert passed <= 2
    backend.keep(SMALL)
    assert backend.read(sha256) == SMALL
    assert backend.lying() == {key: lying}


@SHARED_SHELF
@given(place=st.floats(0, 1, exclude_max=True), piece=st.integers(0, 9), change=st.integers(1, 255))
def test_rot_anywhere_in_a_large_blob_is_seen_and_mended(
    backend: Backend, place: float, piece: int, change: int
) -> None:
    sha256 = backend.keep(LARGE)
    keys = backend.pieces_of(sha256)
    key = keys[piece % len(keys)]
    rotten = bytearray(backend.lying()[key])
    rotten[int(place * len(rotten))] ^= change
    backend.overwrite(key, bytes(rotten))
    comes_true(backend, sha256, LARGE)
    backend.keep(LARGE)
    assert backend.read(sha256) == LARGE


@pytest.mark.parametrize("spoil", ["gone", "emptied", "cut", "lengthened", "another's"])
def test_a_piece_that_is_gone_cut_or_anothers_is_seen_and_mended(backend: Backend, spoil: str) -> None:
    sha256 = backend.keep(LARGE)
    other = backend.keep(LARGE[::-1])
    for key in backend.pieces_of(sha256):
        lying = backend.lying()[key]
        changed = {
            "gone": None,
            "emptied": b"",
            "cut": lying[:-1],
            "lengthened": lying + lying,
            "another's": backend.lying()[backend.pieces_of(other)[key[1]]],
        }
        backend.overwrite(key, changed[spoil])
        comes_true(backend, sha256, LARGE)
        if spoil in {"gone", "emptied", "cut", "another's"}:
            with pytest.raises(BlobRotten):
                backend.read(sha256)
        backend.keep(LARGE)
        assert backend.read(sha256) == LARGE
    assert backend.read(other) == LARGE[::-1]


def broken_off() -> Iterator[bytes]:
    yield SMALL[:10]
    raise StorageFault("the spool cannot be read")


def lies() -> dict[str, tuple[BlobSource, type[Exception]]]:
    sha256 = hashlib.sha256(SMALL).hexdigest()
    return {
        "other bytes": (BlobSource(sha256, len(SMALL), lambda: iter([SMALL[::-1]])), BlobRotten),
        "fewer bytes": (BlobSource(sha256, len(SMALL), lambda: iter([SMALL[:-1]])), BlobRotten),
        "no bytes": (BlobSource(sha256, len(SMALL), lambda: iter(())), BlobRotten),
        "another size": (BlobSource(sha256, len(SMALL) + 1, lambda: iter([SMALL])), BlobRotten),
        "an end in the middle": (BlobSource(sha256, len(SMALL), broken_off), StorageFault),
    }


@pytest.mark.parametrize("lie", lies())
def test_a_source_that_does_not_give_what_it_announced_is_refused_and_leaves_nothing(
    backend: Backend, lie: str
) -> None:
    source, error = lies()[lie]
    with pytest.raises(error):
        backend.blobs.put([source])
    assert not any(name.startswith(source.sha256) for name, _ in backend.lying())
    with pytest.raises(BlobRotten):
        backend.read(source.sha256)
    backend.keep(SMALL)
    assert backend.read(source.sha256) == SMALL


def test_two_threads_that_bring_the_same_bytes_both_succeed_and_one_copy_remains(backend: Backend) -> None:
    start = threading.Barrier(4)
    kept: list[str] = []

    def bring() -> None:
        start.wait(10)
        kept.append(backend.keep(LARGE))

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (sha256,) = set(kept)
    assert len(kept) == 4
    assert backend.read(sha256) == LARGE
    assert sum(map(len, backend.lying().values())) < len(LARGE) + 1000


@pytest.mark.parametrize("piece", [random.Random(2).randbytes(MEBIBYTE), bytes(MEBIBYTE)], ids=["dense", "hollow"])
def test_fifty_megabytes_pass_through_a_few_of_memory(backend: Backend, piece: bytes) -> None:
    """In and out, whether they compress or not: what inflates does so step by step."""
    digest = hashlib.sha256()
    for _ in range(50):
        digest.update(piece)
    source = BlobSource(digest.hexdigest(), 50 * MEBIBYTE, lambda: iter([piece] * 50))
    tracemalloc.start()
    backend.blobs.put([source])
    sizes = [len(part) for part in backend.blobs.read(source.sha256)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(sizes) == 50 * MEBIBYTE
    assert max(sizes) <= MEBIBYTE
    assert peak < 10 * MEBIBYTE


def test_in_the_database_no_row_holds_more_than_a_chunk_and_text_is_compressed(
    archive_harness: ArchiveHarness,
) -> None:
    backend = in_database(archive_harness)
    backend.keep(LARGE)
    assert max(map(len, backend.lying().values())) == tables.CHUNK_BYTES
    text = b"<DettaglioLinee><Descrizione>servizio</Descrizione></DettaglioLinee>\n" * 10_000
    sha256 = backend.keep(text)
    assert sum(len(backend.lying()[key]) for key in backend.pieces_of(sha256)) < len(text) / 20


def test_a_blob_in_an_unknown_encoding_is_not_guessed_at(archive_harness: ArchiveHarness) -> None:
    backend = in_database(archive_harness)
    sha256 = backend.keep(SMALL)
    with archive_harness.archive.database.write() as connection:
        connection.execute(sa.update(tables.blob).values(encoding="lzma"))
    with pytest.raises(BlobRotten, match="unknown encoding lzma"):
        backend.read(sha256)


def test_one_bad_source_takes_only_its_own_transaction_with_it(archive_harness: ArchiveHarness) -> None:
    """Groups of about 32 MiB are committed one by one: what stands before the bad one's group stays."""
    backend = in_database(archive_harness)
    whole = source_of(bytes(33 * MEBIBYTE))
    with pytest.raises(BlobRotten):
        backend.blobs.put([whole, source_of(SMALL), lies()["other bytes"][0]])
    assert {key[0] for key in backend.lying()} == {whole.sha256}
