"""What an intact parcel means for each requested document. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from easytracking_sync.machine.document import DocumentEvent, DocumentHappened
from easytracking_sync.terms import CarriedDocument, KnownFile, ParcelFile


@dataclass(frozen=True, slots=True)
class ParcelContents:
    """What a parcel contains, by docId."""

    files: Mapping[int, tuple[ParcelFile, ...]] = field(default_factory=dict)
    collided: Collection[int] = ()  # another document has the same file names
    refused: Mapping[int, str] = field(default_factory=dict)  # why none of their files is accepted


@dataclass(frozen=True, slots=True)
class Requirements:
    original: str  # without this file type a document is not stored
    types: frozenset[str]  # types to request again if they are missing
    most_asks: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one document of the batch. Its files are stored in every case."""

    carried: CarriedDocument
    event: DocumentEvent
    files: tuple[ParcelFile, ...] = ()

    @property
    def is_stored(self) -> bool:
        """Whether it stays in the batch, to be acknowledged."""
        return self.event.happened is DocumentHappened.STORED


def verdicts(
    documents: Sequence[CarriedDocument],
    contents: ParcelContents,
    known: Mapping[int, Sequence[KnownFile]],
    needs: Requirements,
) -> tuple[Verdict, ...]:
    """One verdict per document, in the batch's order; `known` are the files already stored, by row id.

    A document with its original is stored; other missing types are requested `most_asks` times first. Without its
    original, the attempt has failed.
    """
    return tuple(_verdict(one, contents, known, needs, alone=len(documents) == 1) for one in documents)


def _verdict(
    carried: CarriedDocument,
    contents: ParcelContents,
    known: Mapping[int, Sequence[KnownFile]],
    needs: Requirements,
    *,
    alone: bool,
) -> Verdict:
    if carried.doc_id in contents.collided and not alone:
        reason = "its file names are also another document's; it is fetched alone"
        return Verdict(carried, DocumentEvent(DocumentHappened.SET_APART, reason))
    files = contents.files.get(carried.doc_id, ())
    current = {file.type for file in known.get(carried.document_id, ()) if file.version >= carried.version}
    present = current | {file.type for file in files}
    if needs.original not in present:
        reason = contents.refused.get(carried.doc_id) or _absence(carried, files, contents, needs.original)
        return Verdict(carried, DocumentEvent(DocumentHappened.FAILED, reason), files)
    missing = tuple(sorted(needs.types - present))
    if missing and carried.document.asks + 1 < needs.most_asks:
        reason = f"without {', '.join(missing)}; asked for again"
        return Verdict(carried, DocumentEvent(DocumentHappened.ASKED_AGAIN, reason), files)
    return Verdict(carried, DocumentEvent(DocumentHappened.STORED, missing=missing), files)


def _absence(carried: CarriedDocument, files: Sequence[ParcelFile], contents: ParcelContents, original: str) -> str:
    if carried.doc_id in contents.collided:
        return "its file names are also another document's, even when it is fetched alone"
    if not files:
        return "the parcel held none of its files"
    return f"the parcel held {', '.join(sorted({file.type for file in files}))} of it, but no {original}"
