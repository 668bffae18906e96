"""Faulty parcels: each function of `ZIP_FAULTS` modifies a draft of the zip."""

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
class ZipFaultContext:
    """The input of a zip fault: the draft, the fault, a random generator, and documents that were not requested."""

    draft: Draft
    fault: Fault
    rng: random.Random
    strangers: tuple[tuple[int, tuple[File, ...]], ...]

    def victims(self) -> list[int]:
        """The affected documents: those the fault names, or a random one."""
        present = self.draft.ids()
        named = [doc_id for doc_id in self.fault.ids if doc_id in present]
        return named or ([self.rng.choice(present)] if present else [])

    def files(self) -> list[Packed]:
        """All files of the affected documents."""
        return [packed for doc_id in self.victims() for packed in self.draft.of(doc_id)]

    def originals(self) -> list[tuple[Packed, Entry]]:
        """The first file of each affected document, with its entry."""
        firsts = [self.draft.of(doc_id)[0] for doc_id in self.victims()]
        return [(packed, packed.entry) for packed in firsts if packed.entry]

    def stranger_files(self) -> list[Packed]:
        """The files of the documents that were not requested."""
        return draft(self.strangers, frozenset({"FA", "MT", "FU"})).files


def other_batch(context: ZipFaultContext) -> None:
    context.draft.files = context.stranger_files()


def missing(context: ZipFaultContext) -> None:
    gone = set(context.victims())
    context.draft.files = [packed for packed in context.draft.files if packed.doc_id not in gone]


def extra(context: ZipFaultContext) -> None:
    context.draft.files += context.stranger_files()[:3]


def twice(context: ZipFaultContext) -> None:
    context.draft.files += [Packed(p.doc_id, p.type, p.name, None) for p in context.files()]


def nothing(context: ZipFaultContext) -> None:
    context.draft.files, context.draft.index_name = [], None


def no_index(context: ZipFaultContext) -> None:
    context.draft.index_name = None


def index_empty(context: ZipFaultContext) -> None:
    context.draft.index_body = b'{"files": []}'


def index_bom(context: ZipFaultContext) -> None:
    context.draft.index_body = b"\xef\xbb\xbf" + index_json(context.draft.index())


def index_upper(context: ZipFaultContext) -> None:
    context.draft.index_name = "INDICE.JSON"


def index_cut(context: ZipFaultContext) -> None:
    whole = index_json(context.draft.index())
    context.draft.index_body = whole[: len(whole) // 2]


def index_text_ids(context: ZipFaultContext) -> None:
    index = context.draft.index()
    for row in index["files"]:
        row["id"] = str(row["id"])
    context.draft.index_body = index_json(index)


def index_odd_rows(context: ZipFaultContext) -> None:
    index = context.draft.index()
    odd = [
        None,
        7,
        {},
        {"id": None, "fileName": None, "fileType": None},
        {"id": 10**30, "fileName": "x", "fileType": "FA"},
    ]
    context.draft.index_body = json.dumps({"files": [*odd, *index["files"]]}).encode()


def folder(context: ZipFaultContext) -> None:
    _put_under(context, "fatture/")


def backslashes(context: ZipFaultContext) -> None:
    _put_under(context, "fatture\\")


def _put_under(context: ZipFaultContext, prefix: str) -> None:
    for packed in context.draft.files:
        if packed.entry:
            packed.entry.name = (prefix + packed.name).encode()
    context.draft.index_name = f"{prefix}{context.draft.index_name}"


def unindexed(context: ZipFaultContext) -> None:
    for packed, _ in context.originals():
        packed.indexed = False


def stray(context: ZipFaultContext) -> None:
    context.draft.extra.append(Entry(b"leggimi.txt", b"Buon lavoro.\n"))


def absent(context: ZipFaultContext) -> None:
    for packed, _ in context.originals():
        packed.entry = None


def same_name(context: ZipFaultContext) -> None:
    ids = context.draft.ids()
    first = context.victims()[:1]
    others = [doc_id for doc_id in ids if doc_id not in first][:1]
    for doc_id in others:
        context.draft.of(doc_id)[0].rename(context.draft.of(first[0])[0].name)


def same_name_within(context: ZipFaultContext) -> None:
    for doc_id in context.victims():
        name = context.draft.of(doc_id)[0].name
        for packed in context.draft.of(doc_id):
            packed.rename(name)


def bad_crc(context: ZipFaultContext) -> None:
    for _, entry in context.originals():
        entry.crc = zlib.crc32(entry.body) ^ 0xDEADBEEF


def encrypted(context: ZipFaultContext) -> None:
    for _, entry in context.originals():
        entry.flags |= ENCRYPTED
        entry.packed = context.rng.randbytes(12) + entry.pack()


def unknown_method(context: ZipFaultContext) -> None:
    for _, entry in context.originals():
        entry.method, entry.packed = 99, context.rng.randbytes(64)


def bomb(context: ZipFaultContext) -> None:
    for _, entry in context.originals():
        _inflate(entry, context.fault.size or GIBIBYTE)


def lying_size(context: ZipFaultContext) -> None:
    for _, entry in context.originals():
        _inflate(entry, context.fault.size or GIBIBYTE)
        entry.size = 4096


def _inflate(entry: Entry, size: int) -> None:
    """Fill the entry with zeros up to the next mebibyte above `size`; the zip holds a thousandth of it."""
    zeros, count = bytes(MEBIBYTE), -(-size // MEBIBYTE)
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(zeros) + squeeze.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(count):
        crc = zlib.crc32(zeros, crc)
    entry.method, entry.packed = DEFLATED, block * count + squeeze.flush()
    entry.crc, entry.size = crc, count * MEBIBYTE


def overlap(context: ZipFaultContext) -> None:
    for _, entry in context.originals():
        entry.swallows_next = True


def symlink(context: ZipFaultContext) -> None:
    for _, entry in context.originals():
        entry.mode, entry.body, entry.method = 0o120777, b"/etc/passwd", STORED


def other_bytes(context: ZipFaultContext) -> None:
    for _, entry in context.originals():
        entry.body += b"<!-- altra copia -->"


def html_before(context: ZipFaultContext) -> None:
    context.draft.before = b"<html><body>Manutenzione</body></html>\n"


def concatenated(context: ZipFaultContext) -> None:
    context.draft.before = draft(context.strangers, frozenset({"FA"})).sealed()


def named(pattern: str) -> Callable[[ZipFaultContext], None]:
    """A zip fault that renames the document's first file by a pattern with its old name."""

    def rename(context: ZipFaultContext) -> None:
        for packed, _ in context.originals():
            packed.rename(pattern.format(packed.name))

    return rename


ZIP_FAULTS: Mapping[str, Callable[[ZipFaultContext], None]] = {
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
