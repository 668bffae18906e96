"""An SMTP server on this machine that keeps what it receives."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Mailbox:
    """How to answer, by the first word of a command, `END` for the end of a message; and what arrived."""

    answers: Mapping[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    messages: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    port: int = 0


@contextmanager
def smtp_receiver(mailbox: Mailbox) -> Iterator[Mailbox]:
    """Run the server until the block ends."""

    class Conversation(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):  # the client went away
                _converse(self.request, mailbox)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Conversation) as server:
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield mailbox
        finally:
            server.shutdown()
            thread.join()


def _converse(connection: ssl.SSLSocket, mailbox: Mailbox) -> None:
    lines = connection.makefile("rb")
    connection.sendall(b"220 ready\r\n")
    while line := lines.readline():
        command = line.decode().strip()
        word = command.partition(" ")[0].upper()
        mailbox.commands.append(word)
        if word in mailbox.answers:
            connection.sendall(mailbox.answers[word].encode() + b"\r\n")
        elif word == "EHLO":
            offers = ["mail.example", *mailbox.features, *(["STARTTLS"] if mailbox.tls else [])]
            connection.sendall("".join(f"250-{offer}\r\n" for offer in offers).encode() + b"250 8BITMIME\r\n")
        elif word == "STARTTLS" and mailbox.tls:
            connection.sendall(b"220 go\r\n")
            lines.close()
            connection = mailbox.tls.wrap_socket(connection, server_side=True)
            lines = connection.makefile("rb")
        elif word == "DATA":
            connection.sendall(b"354 go\r\n")
            body = b"".join(iter(lines.readline, b".\r\n"))
            answer = mailbox.answers.get("END", "250 taken")
            if answer.startswith("2"):
                mailbox.messages.append(body)
            connection.sendall(answer.encode() + b"\r\n")
        else:
            if word == "RCPT":
                mailbox.recipients.append(command)
            connection.sendall(b"221 bye\r\n" if word == "QUIT" else b"250 ok\r\n")
            if word == "QUIT":
                break
    lines.close()
    connection.close()
