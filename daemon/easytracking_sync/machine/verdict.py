"""Pure: what a parcel, proven whole, means for each document that was asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from easytracking_sync.archive.pool import Held
from easytracking_sync.machine.account import Account
from easytracking_sync.remote import Parcel
from easytracking_sync.terms import CarriedDocument, Claim, Landed, Landing, StoredFile

NOTHING_HELD = Held(frozenset(), 0)


def verdicts(
    claim: Claim, parcel: Parcel, held: Mapping[int, Held], account: Account, most_asks: int
) -> tuple[Landed, ...]:
    """One landing for each carried document, in the batch's order.

    With its original there, a document goes on; requested types that are absent are asked for `most_asks` times
    first. Without it, it goes back with an attempt more. Whatever came is kept in every case.
    """
    files: dict[int, list[StoredFile]] = defaultdict(list)
    for file in parcel.files:
        files[file.doc_id].append(StoredFile(file.file_type, file.name, file.size, file.sha256))
    return tuple(
        _verdict(
            document,
            tuple(files[document.doc_id]),
            held.get(document.document_id, NOTHING_HELD),
            parcel,
            account,
            most_asks,
            alone=len(claim.documents) == 1,
        )
        for document in claim.documents
    )


def _verdict(
    document: CarriedDocument,
    files: tuple[StoredFile, ...],
    held: Held,
    parcel: Parcel,
    account: Account,
    most_asks: int,
    *,
    alone: bool,
) -> Landed:
    if document.doc_id in parcel.collided and not alone:
        reason = "its file names are another document's too; it is fetched alone"
        return Landed(document, Landing.APART, reason=reason)
    present = held.types | {file.type for file in files}
    if account.original.value not in present:
        reason = parcel.refused.get(document.doc_id) or _absence(document, files, parcel, account.original.value)
        return Landed(document, Landing.FAILED, files, reason=reason)
    missing = _sorted(account.required_types - present)
    if not missing:
        return Landed(document, Landing.WHOLE, files)
    if held.asks + 1 < most_asks:
        return Landed(document, Landing.ASK_AGAIN, files, missing, f"without {', '.join(missing)}; asked for again")
    return Landed(document, Landing.INCOMPLETE, files, missing)


def _absence(document: CarriedDocument, files: tuple[StoredFile, ...], parcel: Parcel, original: str) -> str:
    if document.doc_id in parcel.collided:
        return "its file names are another document's too, even when it is fetched alone"
    if not files:
        return "the parcel held nothing of it"
    return f"the parcel held {', '.join(_sorted({file.type for file in files}))} of it, but no {original}"


def _sorted(types: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(str(name) for name in types))
