"""What is written: complete in both languages, with account, numbers and what to do, bounded, and without secrets."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from easytracking_sync.alarm_terms import AccountCondition, AlarmKind
from easytracking_sync.archive.journal import Arrivals
from easytracking_sync.observe.alarms.messages import MOST_LINES, MessageWriter, Tone
from easytracking_sync.observe.alarms.rules import Alarm, Watched
from easytracking_sync.observe.alarms.translations import TEXTS
from easytracking_sync.settings import Language

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ENGLISH = MessageWriter(Language.ENGLISH, ZoneInfo("Europe/Rome"), "host-1", 1_000_000_000)
ITALIAN = MessageWriter(Language.ITALIAN, ZoneInfo("Europe/Rome"), "host-1", 1_000_000_000)


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def condition(label: str, number: int = 1, **facts: Any) -> Watched:
    return Watched(AccountCondition(number, label, NOW, NOW - timedelta(hours=2), **facts), NOW)


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_has_both_languages_with_the_same_placeholders(key: str) -> None:
    english, italian = TEXTS[key]
    assert english
    assert italian
    assert placeholders(english) == placeholders(italian)


def test_every_kind_of_alarm_has_its_texts_and_there_are_no_others() -> None:
    wanted = {f"{kind}.{part}" for kind in AlarmKind for part in ("headline", "about", "todo", "ended")}
    kinds = {f"{kind}" for kind in AlarmKind}
    assert {key for key in TEXTS if key.partition(".")[0] in kinds} == wanted


@pytest.mark.parametrize("writer", [ENGLISH, ITALIAN], ids=["en", "it"])
@pytest.mark.parametrize("kind", AlarmKind)
def test_messages_name_the_subject_and_what_to_do(kind: AlarmKind, writer: MessageWriter) -> None:
    alarm = Alarm(kind, 7, "acme", 12, NOW - timedelta(hours=3), "no answer in time")
    began = writer.began(kind, [alarm], {alarm.key: (1, 2)}, NOW)
    ended = writer.ended(kind, ["acme"], NOW)
    headline = TEXTS[f"{kind}.headline"][writer is ITALIAN]
    assert headline in began.title
    assert headline in ended.title
    assert "acme" in began.title
    assert "acme" in began.body
    assert {"What to do: ", "Che cosa fare: "} & {line[: line.find(": ") + 2] for line in began.body.splitlines()}
    assert "host-1, " in began.body
    assert ended.tone is Tone.SUCCESS
    assert "{" not in began.body + ended.body + began.title + ended.title


def test_numbers_documents_and_times_are_written_as_in_the_language() -> None:
    alarm = Alarm(AlarmKind.QUARANTINE, 7, "acme", 12)
    body = ENGLISH.began(AlarmKind.QUARANTINE, [alarm], {alarm.key: (4, 5)}, NOW).body
    assert "12 (acme/4, acme/5, and 10 more)" in body
    assert "host-1, 2026-11-22 13:00" in body
    silent = Alarm(AlarmKind.SILENT, 7, "acme", since=NOW - timedelta(hours=3), reason="no answer\x1b[2J")
    said = ITALIAN.began(AlarmKind.SILENT, [silent], {}, NOW).body
    assert "non è disponibile dal 22/11/2026 10:00. Ultimo motivo: no answer\\x1b[2J" in said
    disk = ITALIAN.began(AlarmKind.DISK, [Alarm(AlarmKind.DISK, None, "/srv", 1_550_000_000)], {}, NOW).body
    assert "/srv: 1,6 GB liberi. Sotto 1,0 GB" in disk


def test_500_accounts_with_the_same_problem_are_one_message_of_bounded_length() -> None:
    alarms = [Alarm(AlarmKind.SILENT, number, f"account-{number}", since=NOW) for number in range(500)]
    message = ENGLISH.began(AlarmKind.SILENT, alarms, {}, NOW)
    assert message.title.endswith("account-0, account-1, account-2, and 497 more")
    assert len(message.body.splitlines()) < MOST_LINES + 8
    assert "and 470 more" in message.body


def test_messages_say_what_became_worse_and_what_stops_fetching() -> None:
    alarm = Alarm(AlarmKind.QUARANTINE, 7, "acme", 12)
    grown = ENGLISH.began(AlarmKind.QUARANTINE, [alarm], {}, NOW, grew=True)
    assert grown.title == "easytracking-sync: worse: documents in quarantine: acme"
    assert grown.tone is Tone.WARNING
    assert ENGLISH.began(AlarmKind.DISK, [Alarm(AlarmKind.DISK, None, "/srv", 1)], {}, NOW).tone is Tone.FAILURE


def test_news_count_invoices_by_account_and_receiver() -> None:
    message = ENGLISH.news(Arrivals(9, {"acme": {"01234567890": 3, "": 1}, "beta": {"RSSMRA": 1}}), NOW)
    assert message.title == "easytracking-sync: new invoices: 5"
    assert message.body.splitlines()[:3] == [
        "acme, receiver 01234567890: 3",
        "acme, receiver unknown: 1",
        "beta, receiver RSSMRA: 1",
    ]


def test_a_digest_lists_new_waiting_and_wrong_and_counts_quiet_accounts() -> None:
    accounts = [
        condition("acme", waiting=2, counts={AlarmKind.QUARANTINE: 1}),
        condition("beta"),
        condition("gamma"),
        condition("quiet"),
    ]
    came = Arrivals(9, {"gamma": {"": 4}})
    message = ENGLISH.digest(
        NOW - timedelta(days=1), accounts, came, [Alarm(AlarmKind.QUARANTINE, 1, "acme", 1)], NOW
    )
    assert message.title == "easytracking-sync: since 2026-11-21 13:00: new 4, waiting 2, alarms 1"
    assert message.body.splitlines()[:6] == [
        "acme: new 0, waiting 2, in quarantine 1, last listed 2026-11-22 11:00",
        "gamma: new 4, waiting 0, in quarantine 0, last listed 2026-11-22 11:00",
        "Accounts without new or waiting documents: 2",
        "",
        "Active alarms:",
        "- documents in quarantine: acme",
    ]
    assert "No active alarms." in ENGLISH.digest(NOW, accounts, came, [], NOW).body
