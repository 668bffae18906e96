"""What a parcel that is whole means for each document that was asked for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import cast
from zoneinfo import ZoneInfo

import pytest

from easytracking_sync.archive.pool import Held
from easytracking_sync.machine.account import Account
from easytracking_sync.machine.verdict import verdicts
from easytracking_sync.remote import EasyTracking, Parcel, ParcelFile
from easytracking_sync.remote.zip_reader import Entry
from easytracking_sync.terms import (
    AcknowledgeWith,
    Batch,
    BatchState,
    CarriedDocument,
    Claim,
    FileType,
    Landed,
    Landing,
    OnRelist,
    Purpose,
)

ALL = frozenset(FileType)
USUAL = frozenset({FileType.FA, FileType.MT, FileType.FU})
NO_ENTRY = cast("Entry", None)  # verdicts never look into the zip
EMPTY = Parcel((), frozenset(), frozenset(), frozenset(), (), (), MappingProxyType({}), 0)


def account(types: frozenset[FileType] = USUAL, original: FileType = FileType.FA) -> Account:
    return Account(
        id=1,
        label="acme",
        service=cast("EasyTracking", None),
        file_types=types,
        original=original,
        acknowledge=AcknowledgeWith.PHASE1,
        on_relist=OnRelist.ACKNOWLEDGE,
        history_from=date(2019, 1, 1),
        timezone=ZoneInfo("Europe/Rome"),
    )


def claim(*doc_ids: int) -> Claim:
    batch = Batch(
        id=1,
        account_id=1,
        root_id=1,
        state=BatchState.FETCHED,
        purpose=Purpose.FRESH,
        size=len(doc_ids),
        next_attempt_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    return Claim(batch, tuple(CarriedDocument(doc_id * 10, doc_id) for doc_id in doc_ids))


def parcel(*files: tuple[int, str], **values: object) -> Parcel:
    made = tuple(
        ParcelFile(doc_id, kind, f"{doc_id}.{kind}", place + 1, 5, f"hash-{doc_id}-{kind}", entry=NO_ENTRY)
        for place, (doc_id, kind) in enumerate(files)
    )
    return replace(EMPTY, files=made, **values)  # type: ignore[arg-type]


def judge(one: Parcel, held: Held | None = None, *, of: Account | None = None, asked: int = 1) -> Landed:
    """The verdict on document 1 of a batch of one or more."""
    carried = claim(*range(1, asked + 1))
    return verdicts(carried, one, {10: held} if held else {}, of or account(), 3)[0]


WHOLE = parcel((1, "FA"), (1, "MT"), (1, "FU"))


def test_every_document_asked_for_gets_one_landing_in_the_batch_s_order() -> None:
    """Whatever the parcel's order, and whatever it lacks."""
    carried = claim(3, 1, 2)
    landed = verdicts(carried, parcel((1, "FA"), (1, "MT"), (1, "FU")), {}, account(), 3)
    assert [one.document.doc_id for one in landed] == [3, 1, 2]
    assert [one.landing for one in landed] == [Landing.FAILED, Landing.WHOLE, Landing.FAILED]


def test_with_all_requested_types_a_document_is_whole() -> None:
    landed = judge(WHOLE)
    assert (landed.landing, landed.missing) == (Landing.WHOLE, ())
    assert [(file.type, file.sha256) for file in landed.files] == [(k, f"hash-1-{k}") for k in ("FA", "MT", "FU")]


def test_types_nobody_asked_for_are_kept_too() -> None:
    """RAW-FIRST: whatever came is stored."""
    landed = judge(parcel((1, "FA"), (1, "MT"), (1, "FU"), (1, "XY")))
    assert landed.landing is Landing.WHOLE
    assert [file.type for file in landed.files] == ["FA", "MT", "FU", "XY"]


@pytest.mark.parametrize(
    ("asks", "landing"), [(0, Landing.ASK_AGAIN), (1, Landing.ASK_AGAIN), (2, Landing.INCOMPLETE)]
)
def test_missing_types_are_asked_for_three_times(asks: int, landing: Landing) -> None:
    """With its original there; the third time it goes on, and what is missing is recorded."""
    landed = judge(parcel((1, "FA")), Held(frozenset(), asks))
    assert (landed.landing, landed.missing) == (landing, ("FU", "MT"))
    assert [file.type for file in landed.files] == ["FA"]


def test_types_that_came_in_different_parcels_make_a_document_whole() -> None:
    """What the archive holds since the document was wanted counts."""
    landed = judge(parcel((1, "MT")), Held(frozenset({"FA", "FU"}), 1))
    assert landed.landing is Landing.WHOLE
    assert [file.type for file in landed.files] == ["MT"]


def test_the_intermediary_s_copy_may_be_absent_silently() -> None:
    landed = judge(WHOLE, of=account(ALL))
    assert (landed.landing, landed.missing) == (Landing.WHOLE, ())


@pytest.mark.parametrize("asks", [0, 2, 50])
def test_without_its_original_a_document_failed_however_often_it_was_asked_for(asks: int) -> None:
    """It goes back with an attempt more; what came is kept, and the reason says what came."""
    landed = judge(parcel((1, "MT"), (1, "FU")), Held(frozenset(), asks))
    assert landed.landing is Landing.FAILED
    assert [file.type for file in landed.files] == ["MT", "FU"]
    assert landed.reason == "the parcel held FU, MT of it, but no FA"


def test_where_no_fa_is_wanted_the_first_type_is_the_original() -> None:
    only_metadata = account(frozenset({FileType.MT}), FileType.MT)
    assert judge(parcel((1, "MT")), of=only_metadata).landing is Landing.WHOLE
    assert judge(parcel((1, "FU")), of=only_metadata).landing is Landing.FAILED


def test_nothing_of_a_document_is_said_so() -> None:
    assert judge(EMPTY).reason == "the parcel held nothing of it"


def test_a_refused_document_fails_with_the_parcel_s_reason() -> None:
    refused = MappingProxyType({1: "FA inflates to 9 bytes, more than 8"})
    landed = judge(parcel(refused=refused))
    assert (landed.landing, landed.reason) == (Landing.FAILED, "FA inflates to 9 bytes, more than 8")


def test_documents_whose_names_collide_are_fetched_apart() -> None:
    """Who owns which cannot be known: no file of theirs is kept, and nobody has an attempt more."""
    collided = parcel((2, "FA"), collided=frozenset({1}))
    landed = judge(collided, asked=2)
    assert (landed.landing, landed.files) == (Landing.APART, ())


def test_alone_there_is_no_one_to_be_set_apart_from() -> None:
    """A document that collides even when it is alone failed, rather than going round for ever."""
    landed = judge(parcel(collided=frozenset({1})))
    assert landed.landing is Landing.FAILED
    assert "even when it is fetched alone" in landed.reason
