"""What the service holds about a document: the thirteen fields of the list, and what its files are made from."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from easytracking_simulator.options import Options
from easytracking_simulator.parties import Party, company, romanian, senders

FILE_TYPES = ("FA", "MT", "FU", "FI")
ITALY, ROMANIA = 0, 1
ITALIAN_TYPES = ("TD01",) * 12 + ("TD24",) * 4 + ("TD04",) * 2 + ("TD06",) * 2 + ("TD02", "TD05", "TD25")
ALPHABET = string.ascii_letters + string.digits
WITHOUT_FIELD: Any = object()  # given as a list field's value: the field is left out of the element


@dataclass(frozen=True, slots=True)
class File:
    """One file of a document, as it goes into the zip. `type` is FA, MT, FU or FI."""

    type: str
    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """One document of one account. `received` and `date` are naive local time; None: no range finds it."""

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
    stem: str  # what the platform puts before it in the zip
    progressive: int
    channel: int
    signed: bool = False
    intermediary: bool = False
    lines: int = 1
    attachment: int = 0
    revision: int = 0  # other bytes under the same id
    files: tuple[File, ...] | None = None  # given from outside instead of written by `content`
    fields: Mapping[str, Any] = field(default_factory=dict)  # given from outside, by the list's own names

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
            "dataRicezione": self.received.strftime("%Y-%m-%d %H:%M:%S") if self.received else None,
            "fileName": self.file_name,
            "progressivoAnnualeCaricamento": self.progressive,
            "countryChannel": self.channel,
        }
        if self.fields:
            element |= self.fields
            element = {name: value for name, value in element.items() if value is not WITHOUT_FIELD}
        return element

    def json(self) -> bytes:
        """The list's element as JSON."""
        return json.dumps(self.element(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


class Author:
    """Writes documents' headers one after another from one stream of chance; content comes later, when zipped."""

    def __init__(self, options: Options, accounts: tuple[str, ...]) -> None:
        self._options = options
        self._rng = random.Random(f"{options.seed}/headers")
        circle = random.Random(f"{options.seed}/parties")
        size = min(400, 12 + options.documents // 10)
        self._senders = senders(circle, size)
        self._romanians = tuple(romanian(circle) for _ in range(max(3, size // 12)))
        self._receivers = {name: tuple(company(circle) for _ in range(3)) for name in accounts}
        self._next_id = options.first_id
        self._loaded: dict[tuple[str, int], int] = {}

    def take_id(self, wanted: int | None = None) -> int:
        """The next id of the service, with gaps as other customers' documents leave them."""
        if wanted is not None:
            self._next_id = max(self._next_id, wanted + 1)
            return wanted
        taken = self._next_id
        self._next_id += self._rng.randrange(1, 4)
        return taken

    def receivers(self, account: str) -> tuple[Party, ...]:
        """The companies whose invoices the account sees."""
        return self._receivers[account]

    def write(self, account: str, received: datetime, doc_id: int | None = None) -> Document:
        """A new document of the account, received at that naive local time."""
        rng, options = self._rng, self._options
        doc_id = self.take_id(doc_id)
        roman = rng.random() < options.romania_share
        sender = rng.choice(self._romanians if roman else self._senders)
        kind = ("381" if rng.random() < 0.1 else "380") if roman else rng.choice(ITALIAN_TYPES)
        signed = not roman and rng.random() < options.p7m_share
        key = (account, received.year)
        self._loaded[key] = loaded = self._loaded.get(key, 0) + 1
        progress = "".join(rng.choices(ALPHABET, k=5))
        name = f"{'RO' if roman else 'IT'}{sender.piva}_{progress}.xml"
        return Document(
            id=doc_id,
            account=account,
            received=received,
            date=received.date() - timedelta(days=rng.choice((0, 0, 1, 1, 2, 3, 5, 8, 11))),
            sender=sender,
            receiver=rng.choice(self._receivers[account]),
            number=rng.choice(
                (f"{loaded}", f"{loaded}/C", f"FPR {loaded}/{received:%y}", f"{received:%Y}-{loaded:06d}")
            ),
            document_type=kind,
            sdi_id=str(doc_id * 3 + 1_204_005),
            file_name=f"{name}.p7m" if signed else name,
            stem=f"{received:%Y%m%d_%H%M%S}{rng.randrange(1000):03d}.{rng.randrange(256):02x}",
            progressive=received.year % 100 * 1_000_000 + loaded,
            channel=ROMANIA if roman else ITALY,
            signed=signed,
            intermediary=not roman and rng.random() < options.intermediary_share,
            lines=self._lines(rng),
            attachment=self._attachment(rng),
        )

    def _lines(self, rng: random.Random) -> int:
        if rng.random() < self._options.long_share:
            return rng.randrange(150, 800)
        return 1 + int(rng.expovariate(1 / 8))

    def _attachment(self, rng: random.Random) -> int:
        if rng.random() >= self._options.attachment_share:
            return 0
        smallest = min(20_000, self._options.max_attachment_bytes)
        return int(smallest * (self._options.max_attachment_bytes / max(1, smallest)) ** rng.random())
