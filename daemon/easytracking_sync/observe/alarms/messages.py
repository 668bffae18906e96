"""Writes the messages: what happened, to which accounts, and what to do; without secrets or documents' contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from easytracking_sync.alarm_terms import AlarmKind
from easytracking_sync.archive.journal import Arrivals
from easytracking_sync.observe.alarms.rules import STOPS_FETCHING, Alarm, Watched
from easytracking_sync.observe.alarms.translations import DAYS, text
from easytracking_sync.safe_text import visible
from easytracking_sync.settings import Language

MOST_LINES = 30
MOST_SUBJECTS = 3
MOST_REASON = 200


class Tone(StrEnum):
    """The message's type in apprise, which some channels show as a colour."""

    FAILURE = "failure"
    WARNING = "warning"
    SUCCESS = "success"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    title: str
    body: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class MessageWriter:
    """Writes in one language and time zone."""

    language: Language
    zone: ZoneInfo
    host: str
    least_free_bytes: int

    def began(
        self,
        kind: AlarmKind,
        alarms: Sequence[Alarm],
        some: Mapping[str, Sequence[int]],
        now: datetime,
        *,
        grew: bool = False,
    ) -> Message:
        """Active alarms of one kind; `some` has the first documents by the alarm's key."""
        lines = [self._about(alarm, some.get(alarm.key, ())) for alarm in alarms]
        lines = [*self._some(lines), "", self._text("what_to_do", todo=self._text(f"{kind}.todo"))]
        title = self._title("title.grew" if grew else "title.began", kind, [alarm.subject for alarm in alarms])
        return self._message(title, lines, now, Tone.FAILURE if kind in STOPS_FETCHING else Tone.WARNING)

    def ended(self, kind: AlarmKind, subjects: Sequence[str], now: datetime) -> Message:
        """Alarms of one kind that ended."""
        lines = self._some([self._text(f"{kind}.ended", subject=subject) for subject in subjects])
        return self._message(self._title("title.ended", kind, subjects), lines, now, Tone.SUCCESS)

    def news(self, came: Arrivals, now: datetime) -> Message:
        """New invoices, by account and receiver."""
        lines = [
            self._text("news.line", subject=label, receiver=receiver or self._text("news.unknown"), count=count)
            for label, receivers in came.counts.items()
            for receiver, count in receivers.items()
        ]
        title = self._text("news.title", count=sum(sum(receivers.values()) for receivers in came.counts.values()))
        return self._message(title, self._some(lines), now, Tone.INFO)

    def digest(
        self,
        since: datetime,
        accounts: Sequence[Watched],
        came: Arrivals,
        alarms: Sequence[Alarm],
        now: datetime,
    ) -> Message:
        """The daily summary: what arrived, what waits, and the active alarms."""
        new = {label: sum(receivers.values()) for label, receivers in came.counts.items()}
        conditions = [one.condition for one in accounts]
        busy = [
            condition
            for condition in conditions
            if new.get(condition.label) or condition.waiting or condition.count(AlarmKind.QUARANTINE)
        ]
        lines = [
            self._text(
                "digest.line",
                subject=condition.label,
                count=new.get(condition.label, 0),
                waiting=condition.waiting,
                quarantined=condition.count(AlarmKind.QUARANTINE),
                last=self._moment(condition.last_success_at),
            )
            for condition in busy
        ]
        lines = self._some(lines)
        if len(busy) < len(conditions):
            lines.append(self._text("digest.quiet", count=len(conditions) - len(busy)))
        heading = self._text("digest.alarms" if alarms else "digest.well")
        standing = [f"- {self._text(f'{alarm.kind}.headline')}: {alarm.subject}" for alarm in alarms]
        title = self._text(
            "digest.title",
            since=self._moment(since),
            count=sum(new.values()),
            waiting=sum(condition.waiting for condition in conditions),
            alarms=len(alarms),
        )
        tone = Tone.WARNING if alarms else Tone.INFO
        return self._message(title, [*lines, "", heading, *self._some(standing)], now, tone)

    def trial(self, now: datetime) -> Message:
        """What `alerts test` sends."""
        return self._message(self._text("test.title"), [self._text("test.body")], now, Tone.INFO)

    def _about(self, alarm: Alarm, documents: Sequence[int]) -> str:
        named = [f"{alarm.subject}/{doc_id}" for doc_id in documents]
        if len(named) < alarm.amount:
            named.append(self._text("and_more", count=alarm.amount - len(named)) if named else "…")
        reason = visible(alarm.reason)[:MOST_REASON]
        return self._text(
            f"{alarm.kind}.about",
            subject=alarm.subject,
            amount=alarm.amount,
            documents=", ".join(named),
            since=self._moment(alarm.since),
            reason=self._text("last_reason", reason=reason) if reason else "",
            free=self._size(alarm.amount),
            least=self._size(self.least_free_bytes),
        )

    def _title(self, key: str, kind: AlarmKind, subjects: Sequence[str]) -> str:
        named = list(subjects[:MOST_SUBJECTS])
        if len(subjects) > MOST_SUBJECTS:
            named.append(self._text("and_more", count=len(subjects) - MOST_SUBJECTS))
        return self._text(key, headline=self._text(f"{kind}.headline"), subjects=", ".join(named))

    def _some(self, lines: Sequence[str]) -> list[str]:
        if len(lines) <= MOST_LINES:
            return list(lines)
        return [*lines[:MOST_LINES], self._text("and_more", count=len(lines) - MOST_LINES)]

    def _message(self, title: str, lines: Sequence[str], now: datetime, tone: Tone) -> Message:
        footer = self._text("footer", host=self.host, at=self._moment(now))
        return Message(title, "\n".join([*lines, "", footer]), tone)

    def _moment(self, at: datetime | None) -> str:
        return self._text("never") if at is None else at.astimezone(self.zone).strftime(DAYS[self.language])

    def _size(self, count: int) -> str:
        """Bytes in GB, or in MB below 1 GB, with the language's decimal sign."""
        shown = f"{count / 1e9:.1f} GB" if count >= 10**9 else f"{count / 1e6:.0f} MB"
        return shown.replace(".", ",") if self.language is Language.ITALIAN else shown

    def _text(self, key: str, **values: object) -> str:
        return text(key, self.language, **values)
