"""What a parcel, proven whole, means for each document that was asked for. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from easytracking_sync.machine.document import DocumentEvent, DocumentHappened
from easytracking_sync.terms import CarriedDocument, KnownFile, ParcelFile


@dataclass(frozen=True, slots=True)
class Contents:
    """What a parcel held, by docId."""

    files: Mapping[int, tuple[ParcelFile, ...]] = field(default_factory=dict)
    collided: Collection[int] = ()  # their file names are another document's too
    refused: Mapping[int, str] = field(default_factory=dict)  # why nothing of them can be believed


@dataclass(frozen=True, slots=True)
class Needs:
    """What an account wants of each document."""

    original: str  # the file type without which a document is not home
    types: frozenset[str]  # the types that are asked for again where they are missing
    most_asks: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one carried document. Its files are kept in every case."""

    carried: CarriedDocument
    event: DocumentEvent
    files: tuple[ParcelFile, ...] = ()

    @property
    def is_stored(self) -> bool:
        """Whether it goes on to be acknowledged."""
        return self.event.happened is DocumentHappened.STORED


def verdicts(
    documents: Sequence[CarriedDocument],
    contents: Contents,
    known: Mapping[int, Sequence[KnownFile]],
    needs: Needs,
) -> tuple[Verdict, ...]:
    """One verdict for each carried document, in the batch's order; `known` are the files it has, by row id.

    With its original there, a document is stored; requested types that are absent are asked for `most_asks` times
    first. Without it, it goes back with an attempt more.
    """
    return tuple(_verdict(one, contents, known, needs, alone=len(documents) == 1) for one in documents)


def _verdict(
    carried: CarriedDocument,
    contents: Contents,
    known: Mapping[int, Sequence[KnownFile]],
    needs: Needs,
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


def _absence(carried: CarriedDocument, files: Sequence[ParcelFile], contents: Contents, original: str) -> str:
    if carried.doc_id in contents.collided:
        return "its file names are also another document's, even when it is fetched alone"
    if not files:
        return "the parcel held nothing of it"
    return f"the parcel held {', '.join(sorted({file.type for file in files}))} of it, but no {original}"
