"""What a parcel that is whole means for each document that was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.machine.documents import document

from easytracking_sync.machine.account import Account
from easytracking_sync.machine.document import DocumentHappened
from easytracking_sync.machine.verdict import ParcelContents, Requirements, Verdict, verdicts
from easytracking_sync.remote import EasyTracking
from easytracking_sync.settings import AccountSettings
from easytracking_sync.terms import (
    CarriedDocument,
    DocumentState,
    FileType,
    KnownFile,
    ParcelFile,
)

USUAL = Requirements("FA", frozenset({"FA", "MT", "FU"}), most_asks=3)
EMPTY = ParcelContents()
STORED, ASKED_AGAIN = DocumentHappened.STORED, DocumentHappened.ASKED_AGAIN
SET_APART, FAILED = DocumentHappened.SET_APART, DocumentHappened.FAILED


def carried(number: int, asks: int = 0, version: int = 1) -> CarriedDocument:
    return CarriedDocument(document(number, DocumentState.BATCHED, asks=asks, version=version), version)


def held(*files: tuple[int, str]) -> ParcelContents:
    """A parcel that holds these: the document's number, and the file's type."""
    found: dict[int, tuple[ParcelFile, ...]] = {}
    for number, kind in files:
        one = ParcelFile(kind, f"{number}.{kind}", 5, f"hash-{number}-{kind}")
        found[number * 100] = (*found.get(number * 100, ()), one)
    return ParcelContents(found)


def known(version: int, *types: str) -> dict[int, list[KnownFile]]:
    """The first document's files in the archive."""
    return {1: [KnownFile(place, kind, f"hash-1-{kind}", version) for place, kind in enumerate(types)]}


def judge(
    contents: ParcelContents,
    *,
    asks: int = 0,
    asked: int = 1,
    needs: Requirements = USUAL,
    have: dict[int, list[KnownFile]] | None = None,
) -> Verdict:
    """The verdict on document 1 of a batch of one or more."""
    documents = [carried(1, asks), *(carried(number) for number in range(2, asked + 1))]
    return verdicts(documents, contents, have or {}, needs)[0]


def types(verdict: Verdict) -> list[str]:
    return [file.type for file in verdict.files]


WHOLE = held((1, "FA"), (1, "MT"), (1, "FU"))


def test_every_document_asked_for_gets_one_verdict_in_the_batch_s_order() -> None:
    """Whatever the parcel's order, and whatever it lacks."""
    judged = verdicts([carried(3), carried(1), carried(2)], WHOLE, {}, USUAL)
    assert [one.carried.document_id for one in judged] == [3, 1, 2]
    assert [one.event.happened for one in judged] == [FAILED, STORED, FAILED]
    assert [one.is_stored for one in judged] == [False, True, False]


def test_with_all_requested_types_a_document_is_stored() -> None:
    verdict = judge(WHOLE)
    assert (verdict.event.happened, verdict.event.missing) == (STORED, ())
    assert [(file.type, file.sha256) for file in verdict.files] == [(k, f"hash-1-{k}") for k in ("FA", "MT", "FU")]


def test_types_that_were_not_requested_are_stored_too() -> None:
    """RAW-FIRST: whatever came is stored."""
    verdict = judge(held((1, "FA"), (1, "MT"), (1, "FU"), (1, "XY")))
    assert verdict.event.happened is STORED
    assert types(verdict) == ["FA", "MT", "FU", "XY"]


@pytest.mark.parametrize(("asks", "happened"), [(0, ASKED_AGAIN), (1, ASKED_AGAIN), (2, STORED)])
def test_missing_types_are_asked_for_three_times(asks: int, happened: DocumentHappened) -> None:
    """With its original there; the third time it goes on, and what is missing is recorded."""
    verdict = judge(held((1, "FA")), asks=asks)
    assert verdict.event.happened is happened
    assert verdict.event.missing == (("FU", "MT") if happened is STORED else ())
    assert verdict.event.reason == ("" if happened is STORED else "without FU, MT; asked for again")
    assert types(verdict) == ["FA"]


def test_types_from_different_parcels_complete_a_document() -> None:
    """What the archive holds of the version that is wanted counts."""
    verdict = judge(held((1, "MT")), asks=1, have=known(1, "FA", "FU"))
    assert verdict.event.happened is STORED
    assert types(verdict) == ["MT"]


def test_files_of_an_older_version_do_not_complete_a_newer_one() -> None:
    """NO-LOSS: the original that is there is the older one's."""
    (verdict,) = verdicts([carried(1, version=2)], held((1, "MT")), known(1, "FA", "FU"), USUAL)
    assert (verdict.event.happened, verdict.event.reason) == (FAILED, "the parcel held MT of it, but no FA")
    (verdict,) = verdicts([carried(1, version=2)], held((1, "MT")), known(2, "FA", "FU"), USUAL)
    assert verdict.event.happened is STORED


def test_the_intermediary_s_copy_may_be_absent_silently() -> None:
    """An account that asks for every type requires all but that one."""
    account = Account(
        id=1,
        label="acme",
        service=cast("EasyTracking", None),
        settings=AccountSettings(
            environment="varhub-staging",
            username="mario",
            password=SecretStr("secret"),
            file_types=tuple(FileType),
        ),
        timezone=ZoneInfo("Europe/Rome"),
    )
    verdict = judge(WHOLE, needs=Requirements("FA", frozenset(map(str, account.required_types)), most_asks=3))
    assert (verdict.event.happened, verdict.event.missing) == (STORED, ())


@pytest.mark.parametrize("asks", [0, 2, 50])
def test_without_its_original_a_document_failed_however_often_it_was_asked_for(asks: int) -> None:
    """It goes back with an attempt more; what came is kept, and the reason says what came."""
    verdict = judge(held((1, "MT"), (1, "FU")), asks=asks)
    assert verdict.event.happened is FAILED
    assert types(verdict) == ["MT", "FU"]
    assert verdict.event.reason == "the parcel held FU, MT of it, but no FA"


def test_without_fa_the_first_type_is_the_original() -> None:
    only_metadata = Requirements("MT", frozenset({"MT"}), most_asks=3)
    assert judge(held((1, "MT")), needs=only_metadata).event.happened is STORED
    assert judge(held((1, "FU")), needs=only_metadata).event.happened is FAILED


def test_a_document_without_any_file_is_reported() -> None:
    assert judge(EMPTY).event.reason == "the parcel held none of its files"


def test_a_refused_document_fails_with_the_parcel_s_reason() -> None:
    event = judge(ParcelContents(refused={100: "FA inflates to 9 bytes, more than 8"})).event
    assert (event.happened, event.reason) == (FAILED, "FA inflates to 9 bytes, more than 8")


def test_documents_whose_names_collide_are_fetched_apart() -> None:
    """Who owns which cannot be known: no file of theirs is kept, and nobody has an attempt more."""
    verdict = judge(ParcelContents(held((2, "FA")).files, collided={100}), asked=2)
    assert (verdict.event.happened, verdict.files) == (SET_APART, ())


def test_a_document_alone_in_its_batch_is_not_set_apart() -> None:
    """A document that collides even when it is alone failed, rather than going round for ever."""
    event = judge(ParcelContents(collided={100})).event
    assert event.happened is FAILED
    assert "even when it is fetched alone" in event.reason


KINDS = st.sets(st.sampled_from(["FA", "MT", "FU", "FI", "XY"]))


@given(came=KINDS, there=KINDS, asks=st.integers(0, 5), required=KINDS, most_asks=st.integers(1, 4))
def test_a_document_is_stored_once_no_more_files_are_to_be_requested(
    came: Iterable[str], there: Iterable[str], asks: int, required: set[str], most_asks: int
) -> None:
    """Its original is there, and what is missing was asked for often enough, and is named."""
    needs = Requirements("FA", frozenset(required), most_asks)
    verdict = judge(held(*((1, kind) for kind in came)), asks=asks, needs=needs, have=known(1, *there))
    present = {*came, *there}
    missing = required - present
    wait = bool(missing) and asks + 1 < most_asks
    assert verdict.is_stored == ("FA" in present and not wait)
    assert set(verdict.event.missing) == (missing if verdict.is_stored else set())
    assert set(types(verdict)) == set(came), "RAW-FIRST"
