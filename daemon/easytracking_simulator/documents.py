"""Documents: the thirteen fields of the list, the values their files are made from, and their generator."""

from __future__ import annotations

import json
import math
import random
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeVar

from easytracking_simulator.options import Options
from easytracking_simulator.parties import Party, company, romanian, senders

PLAIN = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
ESCAPED = json.JSONEncoder(separators=(",", ":")).encode  # fields from outside may hold lone surrogates
Day = TypeVar("Day", date, datetime)
ITALY, ROMANIA = 0, 1
ITALIAN_TYPES = ("TD01",) * 12 + ("TD24",) * 4 + ("TD04",) * 2 + ("TD06",) * 2 + ("TD02", "TD05", "TD25")
AGES = tuple(timedelta(days=days) for days in (0, 0, 1, 1, 2, 3, 6, 11))  # of a document when it is received
ALPHABET = string.ascii_letters + string.digits
NO_FIELDS: Mapping[str, Any] = MappingProxyType({})
WITHOUT_FIELD: Any = object()  # as a list field's value: omit the field from the element


@dataclass(frozen=True, slots=True)
class File:
    """One file of a document, as it goes into the zip. `type` is FA, MT, FU or FI."""

    type: str
    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """One document of one account. `received` and `date` are naive local time; no range finds None."""

    id: int
    account: str
    received: datetime | None
    date: date | None
    sender: Party
    receiver: Party
    number: str
    document_type: str
    sdi_id: str
    file_name: str  # as the sender sent it
    progressive: int
    channel: int
    signed: bool = False
    intermediary: bool = False
    lines: int = 1
    attachment: int = 0
    revision: int = 0  # a new revision has other bytes
    files: tuple[File, ...] | None = None  # set from outside instead of generated
    fields: Mapping[str, Any] = field(default_factory=lambda: NO_FIELDS)  # set from outside, by the list's names

    @property
    def stem(self) -> str:
        """The platform's prefix of file names in the zip: the time of loading and two digits."""
        moment = self.received or datetime(2019, 1, 1)  # noqa: DTZ001  local time is naive here
        return f"{moment:%Y%m%d_%H%M%S}{self.id % 1000:03d}.{self.id * 37 % 256:02x}"

    def element(self) -> dict[str, Any]:
        """The list's element: thirteen fields, in the document's order and formats (section 4)."""
        element = {
            "id": self.id,
            "senderPIVA": self.sender.piva,
            "senderCF": self.sender.cf,
            "receiverPIVA": self.receiver.piva,
            "receiverCF": self.receiver.cf,
            "data": self.date.isoformat() if self.date else None,
            "number": self.number,
            "documentType": self.document_type,
            "sdiId": self.sdi_id,
            "dataRicezione": self.received.isoformat(" ") if self.received else None,
            "fileName": self.file_name,
            "progressivoAnnualeCaricamento": self.progressive,
            "countryChannel": self.channel,
        }
        if self.fields:
            element |= self.fields
            element = {name: value for name, value in element.items() if value is not WITHOUT_FIELD}
        return element

    def json(self) -> bytes:
        encode = ESCAPED if self.fields else PLAIN
        return encode(self.element()).encode()


class DocumentGenerator:
    """Generates documents from one random sequence. Their files are generated later, when they are zipped."""

    def __init__(self, options: Options, accounts: tuple[str, ...]) -> None:
        self._options = options
        self._rng = random.Random(f"{options.seed}/headers")
        circle = random.Random(f"{options.seed}/parties")
        size = min(400, 12 + options.documents // 10)
        self._senders = senders(circle, size)
        self._romanians = tuple(romanian(circle) for _ in range(max(3, size // 12)))
        self._receivers = {name: tuple(company(circle) for _ in range(3)) for name in accounts}
        self.next_id = options.first_id
        self._loaded: dict[tuple[str, int], int] = {}

    def _take_id(self, wanted: int | None, at_least: int) -> int:
        """The next id of the service, with gaps for other customers' documents."""
        taken = max(self.next_id, at_least) if wanted is None else wanted
        self.next_id = max(self.next_id, taken + 1 + int(self._rng.random() * 3))
        return taken

    def write(self, account: str, received: datetime, doc_id: int | None = None, *, at_least: int = 0) -> Document:
        """A new document received at this naive local time; its id is `doc_id`, or the next from `at_least` on."""
        options, chance = self._options, self._rng.random
        doc_id = self._take_id(doc_id, at_least)
        roman = chance() < options.romania_share
        senders = self._romanians if roman else self._senders
        receivers = self._receivers[account]
        sender = senders[int(chance() * len(senders))]
        signed = not roman and chance() < options.p7m_share
        key = (account, received.year)
        self._loaded[key] = loaded = self._loaded.get(key, 0) + 1
        name = f"{'RO' if roman else 'IT'}{sender.piva}_{_alphanumeric(doc_id)}.xml"
        bits = self._rng.getrandbits(32)
        return Document(
            id=doc_id,
            account=account,
            received=received,
            date=received.date() - AGES[bits >> 20 & 7],
            sender=sender,
            receiver=receivers[bits % len(receivers)],
            number=_number(bits >> 23 & 3, loaded, received.year),
            document_type=_romanian_type(chance()) if roman else ITALIAN_TYPES[int(chance() * len(ITALIAN_TYPES))],
            sdi_id=str(doc_id * 3 + 1_204_005),
            file_name=f"{name}.p7m" if signed else name,
            progressive=received.year % 100 * 1_000_000 + loaded,
            channel=ROMANIA if roman else ITALY,
            signed=signed,
            intermediary=not roman and chance() < options.intermediary_share,
            lines=self._lines(chance),
            attachment=self._attachment(chance),
        )

    def _lines(self, chance: Callable[[], float]) -> int:
        if chance() < self._options.long_share:
            return 150 + int(chance() * 650)
        return 1 + int(-8 * math.log(1 - chance()))

    def _attachment(self, chance: Callable[[], float]) -> int:
        if chance() >= self._options.attachment_share:
            return 0
        smallest = min(20_000, self._options.max_attachment_bytes)
        return int(smallest * (self._options.max_attachment_bytes / max(1, smallest)) ** chance())


def _alphanumeric(number: int) -> str:
    """Five characters that differ from document to document, like a sender's ProgressivoInvio."""
    scattered = number * 7_919_177
    return "".join([ALPHABET[scattered // 62**place % 62] for place in range(5)])


def _number(habit: int, loaded: int, year: int) -> str:
    return (f"{loaded}", f"{loaded}/C", f"FPR {loaded}/{year % 100}", f"{year}-{loaded:06d}")[habit]


def _romanian_type(chance: float) -> str:
    return "381" if chance < 0.2 else "380"


def revised(document: Document, files: Mapping[str, tuple[str, bytes]] | None, fields: Mapping[str, Any]) -> Document:
    """The document with these files and list fields; ranges and filters use the fields.

    ValueError for a name that the list does not have.
    """
    if unknown := fields.keys() - document.element().keys() - document.fields.keys():
        raise ValueError(f"no such list field: {', '.join(sorted(unknown))}")
    if files is not None:
        document = replace(document, files=tuple(File(kind, name, body) for kind, (name, body) in files.items()))
    if "dataRicezione" in fields:
        document = replace(document, received=_parsed(datetime.fromisoformat, fields["dataRicezione"]))
    if "data" in fields:
        document = replace(document, date=_parsed(date.fromisoformat, fields["data"]))
    receiver = document.receiver
    if "receiverPIVA" in fields:
        receiver = replace(receiver, piva=str(fields["receiverPIVA"] or ""))
    if "receiverCF" in fields:
        receiver = replace(receiver, cf=str(fields["receiverCF"] or ""))
    return replace(document, receiver=receiver, fields={**document.fields, **fields})


def _parsed(parse: Callable[[str], Day], value: Any) -> Day | None:
    try:
        return parse(value)
    except (TypeError, ValueError):
        return None
