"""Mail against a server on this machine."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from tests.deliver.consignments import INVOICE, LISTED, consignment
from tests.support.certificates import self_signed
from tests.support.smtp_receiver import Mailbox, smtp_receiver

from easytracking_sync.deliver.event_sink import Announcement, Attachment
from easytracking_sync.deliver.mail import Mail, MailServer, Per, Security
from easytracking_sync.deliver.mail_message import WORDS, Letterhead, compose
from easytracking_sync.errors import SinkRefused, SinkUnavailable, SyncError, UsageError

STORED_AT = datetime(2026, 11, 27, 8, tzinfo=UTC)
FILES = (
    Attachment("invoice.pdf", "application/pdf", b"%PDF-1.7 page"),
    Attachment("a.xml", "application/xml", INVOICE),
)
HEAD = Letterhead("archive@company.example", ("books@studio.example", "second@studio.example"))
ONE = Announcement(consignment(), STORED_AT, FILES)


def mail_to(mailbox: Mailbox) -> Mail:
    return Mail(MailServer("127.0.0.1", mailbox.port, Security.NONE), HEAD)


def read(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_one_message_carries_the_files_byte_for_byte_to_all_recipients() -> None:
    with smtp_receiver(Mailbox()) as mailbox:
        receipt = mail_to(mailbox).send([ONE])
    (content,) = mailbox.messages
    message = read(content)
    assert receipt.answer == "127.0.0.1 took the message"
    assert message["Subject"] == "Fattura 12/A da IT01234567890"
    assert [part.get_filename() for part in message.iter_attachments()] == ["invoice.pdf", "a.xml"]
    assert [part.get_payload(decode=True) for part in message.iter_attachments()] == [one.content for one in FILES]
    assert len(mailbox.recipients) == 2


def test_a_repetition_is_the_same_message() -> None:
    assert compose([ONE], HEAD) == compose([ONE], HEAD)
    assert ONE.consignment.id in read(compose([ONE], HEAD))["Message-ID"]
    other = replace(ONE, consignment=consignment(version=2))
    assert read(compose([other], HEAD))["Message-ID"] != read(compose([ONE], HEAD))["Message-ID"]


def test_what_a_supplier_wrote_adds_no_header_and_no_line() -> None:
    nasty = replace(LISTED, number="1\r\nBcc: thief@example.org", sender_piva="\udc80\u202e")
    attached = Attachment("../../etc/passwd\r\nX: y", "application/xml", INVOICE)
    message = read(compose([Announcement(consignment(listed=nasty), STORED_AT, (attached,))], HEAD))
    assert message["Bcc"] is None
    (part,) = message.iter_attachments()
    assert part.get_filename() == "passwd__X_ y"
    body = message.get_body(("plain",))
    assert body is not None
    assert not any(line.startswith("Bcc") for line in body.get_content().splitlines())


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"RCPT": "550 unknown"}, SinkRefused),
        ({"RCPT": "450 later"}, SinkUnavailable),
        ({"MAIL": "553 not you"}, SinkRefused),
        ({"END": "552 too large"}, SinkRefused),
        ({"END": "451 later"}, SinkUnavailable),
        ({"DATA": "554 no"}, SinkUnavailable),
        ({"EHLO": "421 busy", "HELO": "421 busy"}, SinkUnavailable),
    ],
)
def test_only_a_taken_message_is_delivered(answers: dict[str, str], error: type[SyncError]) -> None:
    with smtp_receiver(Mailbox(answers)) as mailbox, pytest.raises(error, match="answered"):
        mail_to(mailbox).send([ONE])
    assert mailbox.messages == []


def test_if_one_recipient_is_refused_none_gets_the_message() -> None:
    """Otherwise each daily repetition would reach the others again."""
    with smtp_receiver(Mailbox({"RCPT": "550 unknown"})) as mailbox, pytest.raises(SinkRefused, match="recipient"):
        mail_to(mailbox).send([ONE])
    assert "DATA" not in mailbox.commands


def test_after_the_message_is_taken_a_failing_goodbye_changes_nothing() -> None:
    with smtp_receiver(Mailbox({"QUIT": "500 what"})) as mailbox:
        mail_to(mailbox).send([ONE])
    assert len(mailbox.messages) == 1


def test_a_message_larger_than_either_side_allows_is_not_sent() -> None:
    with smtp_receiver(Mailbox(features=("SIZE 500",))) as mailbox:
        with pytest.raises(SinkRefused, match="takes 500 bytes"):
            mail_to(mailbox).send([ONE])
        server = MailServer("127.0.0.1", mailbox.port, Security.NONE)
        with pytest.raises(SinkRefused, match="more than 600"):
            Mail(server, HEAD, most_bytes=600).send([ONE])
    assert "MAIL" not in mailbox.commands


def test_a_missing_server_is_tried_again() -> None:
    with smtp_receiver(Mailbox()) as mailbox:
        sink = mail_to(mailbox)
    with pytest.raises(SinkUnavailable, match="ConnectionRefusedError"):
        sink.send([ONE])


def test_without_tls_nothing_leaves_this_machine() -> None:
    with pytest.raises(UsageError, match="tls"):
        MailServer("mail.example", 25, Security.NONE)
    assert "s3cret" not in repr(MailServer("mail.example", 587, password="s3cret"))


def test_a_server_that_does_not_offer_starttls_gets_no_mail() -> None:
    """Somebody between may have removed the offer."""
    with smtp_receiver(Mailbox()) as mailbox, pytest.raises(SinkUnavailable, match="SMTPNotSupportedError"):
        Mail(MailServer("127.0.0.1", mailbox.port), HEAD).send([ONE])
    assert "MAIL" not in mailbox.commands


def test_starttls_needs_a_trusted_certificate(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with smtp_receiver(Mailbox(tls=tls)) as mailbox:
        with pytest.raises(SinkUnavailable, match="certificate"):
            Mail(MailServer("localhost", mailbox.port), HEAD).send([ONE])
        Mail(MailServer("localhost", mailbox.port, ca_file=str(certificate)), HEAD).send([ONE])
    assert len(mailbox.messages) == 1


def announced(doc_id: int, day: int, size: int = 1000) -> Announcement:
    attached = Attachment("a.pdf", "application/pdf", bytes(size))
    return Announcement(consignment(doc_id=doc_id), STORED_AT + timedelta(days=day), (attached,))


def test_a_days_documents_share_messages_within_the_limit() -> None:
    given = [announced(1, 0), announced(2, 0), announced(3, 0, 60_000), announced(4, 1), announced(5, 1)]
    server = MailServer("127.0.0.1", 25, Security.NONE)
    groups = Mail(server, HEAD, Per.DAY, most_bytes=100_000).groups(given)
    assert [[one.consignment.doc_id for one in group] for group in groups] == [[1, 2], [3], [4, 5]]
    assert all(len(compose(group, HEAD)) <= 100_000 for group in groups)
    assert Mail(server, HEAD, Per.DAY, most_bytes=100_000).groups(given[2:]) == groups[1:]
    assert Mail(server, HEAD).groups(given) == tuple((one,) for one in given)
    assert read(compose(groups[0], HEAD))["Subject"] == "2 fatture"


def test_every_language_has_every_word() -> None:
    assert len({frozenset(words) for words in WORDS.values()}) == 1
