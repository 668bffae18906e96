"""A message for people: what arrived, with its files. Equal bytes for each attempt. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime

from easytracking_sync.deliver.event_sink import Announcement
from easytracking_sync.safe_file_names import distinct_names
from easytracking_sync.safe_text import visible

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {"one": "Invoice {number} from {sender}", "many": "{count} invoices", "number": "number", "date": "date"}
    | {"sender": "sender", "receiver": "receiver", "sdi": "SDI id", "document": "document", "files": "files"},
    "it": {"one": "Fattura {number} da {sender}", "many": "{count} fatture", "number": "numero", "date": "data"}
    | {"sender": "mittente", "receiver": "destinatario", "sdi": "id SDI", "document": "documento", "files": "file"},
}
MOST_SUBJECT_CHARS = 150


@dataclass(frozen=True, slots=True)
class Letterhead:
    """From whom, to whom, and in which language (en, it)."""

    sender: str
    recipients: tuple[str, ...]
    language: str = "it"


def message_id(group: Sequence[Announcement]) -> str:
    """The id of one consignment, or one made of all: repetitions of a group share it."""
    ids = [one.consignment.id for one in group]
    return ids[0] if len(ids) == 1 else f"dlv_{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:32]}"


def compose(group: Sequence[Announcement], letterhead: Letterhead) -> bytes:
    """The message as it is sent. Nothing from an invoice can add a header, a line or a path."""
    words = WORDS[letterhead.language]
    identity = message_id(group)
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = letterhead.sender
    message["To"] = ", ".join(letterhead.recipients)
    message["Subject"] = _subject(group, words)
    message["Date"] = format_datetime(max(one.stored_at for one in group).astimezone(UTC))
    message["Message-ID"] = f"<{identity}@{letterhead.sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join(_described(one, words) for one in group) + "\n", cte="base64")
    attachments = [attachment for one in group for attachment in one.attachments]
    for attachment, name in zip(attachments, distinct_names(one.name for one in attachments), strict=True):
        maintype, _, subtype = attachment.media_type.partition("/")
        message.add_attachment(attachment.content, maintype, subtype, filename=name)
    if attachments:
        message.set_boundary(f"={identity}=")  # otherwise random
    return message.as_bytes()


def _subject(group: Sequence[Announcement], words: Mapping[str, str]) -> str:
    if len(group) > 1:
        return words["many"].format(count=len(group))
    listed = group[0].consignment.listed
    number, sender = listed.number or group[0].consignment.shown_id, listed.sender_piva or listed.sender_cf or "?"
    return visible(words["one"].format(number=number, sender=sender))[:MOST_SUBJECT_CHARS]


def _described(announcement: Announcement, words: Mapping[str, str]) -> str:
    consignment, listed = announcement.consignment, announcement.consignment.listed
    lines = {
        "number": listed.number,
        "date": listed.document_date,
        "sender": listed.sender_piva or listed.sender_cf,
        "receiver": listed.receiver_piva or listed.receiver_cf,
        "sdi": listed.sdi_id,
        "document": f"{consignment.shown_id} v{consignment.version}",
        "files": ", ".join(f"{file.name} (sha256 {file.sha256})" for file in consignment.files),
    }
    shown = [f"{words[key]}: {visible(str(value))}" for key, value in lines.items() if value]
    return "\n".join([*shown, *([announcement.link] if announcement.link else [])])
