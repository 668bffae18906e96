"""Parcels with something wrong: each trick spoils a draft, or replaces the sealed bytes."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from easytracking_simulator.documents import File
from easytracking_simulator.faults import Fault
from easytracking_simulator.parcel import Draft, Packed, draft, index_json
from easytracking_simulator.zip_writer import DEFLATED, ENCRYPTED, STORED, Entry

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30


@dataclass(frozen=True, slots=True)
class Scene:
    """What a trick works with: the draft, the fault's wishes, its dice, and documents that nobody asked for."""

    draft: Draft
    fault: Fault
    dice: random.Random
    strangers: tuple[tuple[int, tuple[File, ...]], ...]

    def victims(self) -> list[int]:
        """The documents to be spoilt: those the fault names, or one by chance."""
        present = self.draft.ids()
        named = [doc_id for doc_id in self.fault.ids if doc_id in present]
        return named or ([self.dice.choice(present)] if present else [])

    def files(self) -> list[Packed]:
        """All files of the documents to be spoilt."""
        return [packed for doc_id in self.victims() for packed in self.draft.of(doc_id)]

    def originals(self) -> list[tuple[Packed, Entry]]:
        """The first file of each document to be spoilt, with its entry."""
        firsts = [self.draft.of(doc_id)[0] for doc_id in self.victims()]
        return [(packed, packed.entry) for packed in firsts if packed.entry]

    def strange(self) -> list[Packed]:
        """The strangers' files, packed."""
        return draft(self.strangers, frozenset({"FA", "MT", "FU"})).files


def other_batch(scene: Scene) -> None:
    scene.draft.files = scene.strange()


def missing(scene: Scene) -> None:
    gone = set(scene.victims())
    scene.draft.files = [packed for packed in scene.draft.files if packed.doc_id not in gone]


def extra(scene: Scene) -> None:
    scene.draft.files += scene.strange()[:3]


def twice(scene: Scene) -> None:
    scene.draft.files += [Packed(p.doc_id, p.type, p.name, None) for p in scene.files()]


def nothing(scene: Scene) -> None:
    scene.draft.files, scene.draft.index_name = [], None


def no_index(scene: Scene) -> None:
    scene.draft.index_name = None


def index_empty(scene: Scene) -> None:
    scene.draft.index_body = b'{"files": []}'


def index_bom(scene: Scene) -> None:
    scene.draft.index_body = b"\xef\xbb\xbf" + index_json(scene.draft.index())


def index_upper(scene: Scene) -> None:
    scene.draft.index_name = "INDICE.JSON"


def index_cut(scene: Scene) -> None:
    whole = index_json(scene.draft.index())
    scene.draft.index_body = whole[: len(whole) // 2]


def index_text_ids(scene: Scene) -> None:
    index = scene.draft.index()
    for row in index["files"]:
        row["id"] = str(row["id"])
    scene.draft.index_body = index_json(index)


def index_odd_rows(scene: Scene) -> None:
    index = scene.draft.index()
    odd = [
        None,
        7,
        {},
        {"id": None, "fileName": None, "fileType": None},
        {"id": 10**30, "fileName": "x", "fileType": "FA"},
    ]
    scene.draft.index_body = json.dumps({"files": [*odd, *index["files"]]}).encode()


def folder(scene: Scene) -> None:
    _put_under(scene, "fatture/")


def backslashes(scene: Scene) -> None:
    _put_under(scene, "fatture\\")


def _put_under(scene: Scene, prefix: str) -> None:
    for packed in scene.draft.files:
        if packed.entry:
            packed.entry.name = (prefix + packed.name).encode()
    scene.draft.index_name = f"{prefix}{scene.draft.index_name}"


def unindexed(scene: Scene) -> None:
    for packed, _ in scene.originals():
        packed.indexed = False


def stray(scene: Scene) -> None:
    scene.draft.extra.append(Entry(b"leggimi.txt", b"Buon lavoro.\n"))


def absent(scene: Scene) -> None:
    for packed, _ in scene.originals():
        packed.entry = None


def same_name(scene: Scene) -> None:
    ids = scene.draft.ids()
    first = scene.victims()[:1]
    others = [doc_id for doc_id in ids if doc_id not in first][:1]
    for doc_id in others:
        scene.draft.of(doc_id)[0].rename(scene.draft.of(first[0])[0].name)


def same_name_within(scene: Scene) -> None:
    for doc_id in scene.victims():
        name = scene.draft.of(doc_id)[0].name
        for packed in scene.draft.of(doc_id):
            packed.rename(name)


def bad_crc(scene: Scene) -> None:
    for _, entry in scene.originals():
        entry.crc = zlib.crc32(entry.body) ^ 0xDEADBEEF


def encrypted(scene: Scene) -> None:
    for _, entry in scene.originals():
        entry.flags |= ENCRYPTED
        entry.packed = scene.dice.randbytes(12) + entry.pack()


def unknown_method(scene: Scene) -> None:
    for _, entry in scene.originals():
        entry.method, entry.packed = 99, scene.dice.randbytes(64)


def bomb(scene: Scene) -> None:
    for _, entry in scene.originals():
        _inflate(entry, scene.fault.size or GIBIBYTE)


def lying_size(scene: Scene) -> None:
    for _, entry in scene.originals():
        _inflate(entry, scene.fault.size or GIBIBYTE)
        entry.size = 4096


def _inflate(entry: Entry, size: int) -> None:
    """Zeros up to the next mebibyte above `size`, a thousandth of it in the zip."""
    zeros, count = bytes(MEBIBYTE), -(-size // MEBIBYTE)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(zeros) + squeeze.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(count):
        crc = zlib.crc32(zeros, crc)
    entry.method, entry.packed = DEFLATED, block * count + squeeze.flush()
    entry.crc, entry.size = crc, count * MEBIBYTE


def overlap(scene: Scene) -> None:
    for _, entry in scene.originals():
        entry.swallows_next = True


def symlink(scene: Scene) -> None:
    for _, entry in scene.originals():
        entry.mode, entry.body, entry.method = 0o120777, b"/etc/passwd", STORED


def other_bytes(scene: Scene) -> None:
    for _, entry in scene.originals():
        entry.body += b"<!-- altra copia -->"


def html_before(scene: Scene) -> None:
    scene.draft.before = b"<html><body>Manutenzione</body></html>\n"


def concatenated(scene: Scene) -> None:
    scene.draft.before = draft(scene.strangers, frozenset({"FA"})).sealed()


def named(pattern: str) -> Callable[[Scene], None]:
    """The document's first file gets a name made from the pattern and the name it had."""

    def rename(scene: Scene) -> None:
        for packed, _ in scene.originals():
            packed.rename(pattern.format(packed.name))

    return rename


TRICKS: Mapping[str, Callable[[Scene], None]] = {
    "other-batch": other_batch,
    "missing": missing,
    "extra": extra,
    "twice": twice,
    "nothing": nothing,
    "no-index": no_index,
    "index-empty": index_empty,
    "index-bom": index_bom,
    "index-upper": index_upper,
    "index-cut": index_cut,
    "index-text-ids": index_text_ids,
    "index-odd-rows": index_odd_rows,
    "folder": folder,
    "backslashes": backslashes,
    "unindexed": unindexed,
    "stray": stray,
    "absent": absent,
    "same-name": same_name,
    "same-name-within": same_name_within,
    "bad-crc": bad_crc,
    "encrypted": encrypted,
    "unknown-method": unknown_method,
    "bomb": bomb,
    "lying-size": lying_size,
    "overlap": overlap,
    "symlink": symlink,
    "other-bytes": other_bytes,
    "html-before": html_before,
    "concatenated": concatenated,
    "traversal": named("../../../../etc/{0}"),
    "windows-traversal": named("..\\..\\{0}"),
    "absolute": named("/etc/{0}"),
    "drive": named("C:\\{0}"),
    "nul-name": named("a\x00{0}"),
    "control-name": named("\x1b[31m\r\n\t{0}"),
    "long-name": named("x" * 300 + "{0}"),
    "empty-name": named(""),
    "dots-name": named(".."),
    "unicode-name": named("perché_€_\u202e{0}"),
}
