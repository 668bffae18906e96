"""HTTP requests and replies, and how a reply breaks off.

No sockets: `server` sends replies over TCP, `httpx_transport` passes them to httpx in the same process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class TearKind(StrEnum):
    """How the delivery of a reply fails."""

    UNREACHABLE = "unreachable"  # no connection; the call was not applied
    TIMEOUT = "timeout"  # no answer within the client's timeout
    LOST = "lost"  # the connection is reset before the first byte of the answer
    CUT = "cut"  # Content-Length is that of the whole body; a reset after `at` bytes
    SHORT = "short"  # no Content-Length; an orderly end after `at` bytes
    CLOSE_DELIMITED = "close-delimited"  # no Content-Length; the whole body, then an orderly end
    SLOW = "slow"  # the whole body, but `seconds` late


@dataclass(frozen=True, slots=True)
class Tear:
    """`at`: bytes of the body that arrive (cut, short). `seconds`: delay before the answer (timeout, slow)."""

    kind: TearKind
    at: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `query` is the encoded text after the question mark."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def to(cls, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Request:
        """A request to a URL or an origin-form target."""
        parts = urlsplit(target)
        return cls(method.upper(), parts.path, parts.query, dict(headers or {}), body)

    def header(self, name: str) -> str:
        """The header's value; case is ignored. Empty if it is absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), "")

    def fields(self) -> list[tuple[str, str]]:
        """The decoded fields of the query in their order, including empty ones."""
        return parse_qsl(self.query, keep_blank_values=True)


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete HTTP answer; `fault` says how its delivery fails, if it does."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    fault: Tear | None = None

    def header(self, name: str) -> str:
        """The first header of that name, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def arriving(self) -> bytes:
        """The bytes of the body that reach the client."""
        match self.fault:
            case Tear(kind=TearKind.CUT | TearKind.SHORT, at=at):
                return self.body[:at]
            case Tear(kind=TearKind.UNREACHABLE | TearKind.TIMEOUT | TearKind.LOST):
                return b""
            case _:
                return self.body

    def json(self) -> Any:
        return json.loads(self.body)


JSON = (("Content-Type", "application/json; charset=utf-8"),)


def bare(status: int) -> Reply:
    return Reply(status)


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, JSON, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def bad_request(message: str) -> Reply:
    """400 with the document's `{message}`."""
    return json_reply({"message": message}, 400)
