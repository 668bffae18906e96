"""Fuzz targets for network input, as functions of any bytes: only the project's own errors may escape.

A target ignores SyncError, the correct response to invalid input. Any other exception is a finding. Results must keep
their promises.
"""

from __future__ import annotations

import hashlib
import io
import ssl
import threading
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime

import httpcore
import httpx

from easytracking_sync.errors import SyncError
from easytracking_sync.list_fields import ListedDocument
from easytracking_sync.remote import (
    EasyTracking,
    ListQuery,
    ParcelLimits,
    inspect_parcel,
    open_file,
    read_document_list,
)
from easytracking_sync.remote.access_tokens import read_expiry, read_token
from easytracking_sync.settings import AccountSettings
from easytracking_sync.terms import FileType, Window, WindowKind

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REQUESTED = frozenset({1, 2})
LIMITS = ParcelLimits(most_file_bytes=20_000_000, most_total_bytes=50_000_000)
MOST_PARCEL_BYTES = 1 << 20
JOB_ID = "0b0e1a52-7d7e-4a3c-9a52-53a1f4d4c001"
DAY = Window(WindowKind.RECEIVED, datetime(2026, 11, 22), datetime(2026, 11, 23))  # noqa: DTZ001  local time is naive


class StillClock:
    """A clock that stands at noon."""

    def now(self) -> datetime:
        return NOON

    def monotonic(self) -> float:
        return 0.0

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        return wake.is_set()


def listing(data: bytes) -> None:
    """The list's JSON: every element is a document or unreadable; documents fit into the database."""
    with suppress(SyncError):
        read = read_document_list(data)
        assert len(read.documents) + len(read.unreadable) <= read.count
        for document in read.documents:
            _expect_storable(document)


def _expect_storable(document: ListedDocument) -> None:
    assert 1 <= document.doc_id < 2**63
    assert len(document.fingerprint) == 64
    for name in ListedDocument.__dataclass_fields__:
        value = getattr(document, name)
        if isinstance(value, str):
            assert "\0" not in value
            value.encode()
        elif isinstance(value, int):
            assert -(2**63) <= value < 2**63
        elif isinstance(value, datetime):
            assert value.tzinfo is None


def parcel(data: bytes) -> None:
    """A zip is verified or refused; verified files are returned with the bytes that were hashed."""
    _take(io.BytesIO(data))


def index(data: bytes) -> None:
    """`indice.json` within an intact zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name in ("a.xml", "b.xml", "folder/c.xml"):
            zipped.writestr(zipfile.ZipInfo(name), name.encode())
        zipped.writestr(zipfile.ZipInfo("indice.json"), data)
    _take(packed)


def _take(file: io.BytesIO) -> None:
    with suppress(SyncError):
        found = inspect_parcel(file, requested=REQUESTED, limits=LIMITS)
        assert {one.doc_id for one in found.files} <= REQUESTED - found.collided
        for one in found.files:
            digest, size = hashlib.sha256(), 0
            for piece in open_file(file, one):
                digest.update(piece)
                size += len(piece)
            assert (digest.hexdigest(), size) == (one.sha256, one.size)
            one.name.encode()


class Script(httpcore.NetworkBackend):
    """A network on which every connection receives the next of these scripts as its answer."""

    def __init__(self, scripts: Iterable[bytes]) -> None:
        self._scripts = iter(scripts)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: object = None,
    ) -> httpcore.NetworkStream:
        script = next(self._scripts, None)
        if script is None:
            raise httpcore.ConnectError("nobody listens")
        return httpcore.MockStream([script[at : at + 1000] for at in range(0, len(script), 1000)])


def client(*scripts: bytes) -> EasyTracking:
    """A client that uses httpx and h11 down to the bytes of the connection."""
    transport = httpx.HTTPTransport(verify=_TRUST, trust_env=False)
    transport._pool = httpcore.ConnectionPool(network_backend=Script(scripts))
    return EasyTracking(_SETTINGS, label="acme", clock=StillClock(), network=transport)


_TRUST = ssl.create_default_context()
_SETTINGS = AccountSettings.model_validate(
    {
        "base_url": "http://127.0.0.1:1",
        "auth_base_url": "http://127.0.0.1:1",
        "username": "mario",
        "password": "password-canary",
    }
)
LOGIN = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"abc"'


def _list(service: EasyTracking) -> None:
    service.list_documents(ListQuery(DAY, phase1=False))


def _fetch(service: EasyTracking) -> None:
    poured: list[bytes] = []
    service.fetch(JOB_ID, poured.append, MOST_PARCEL_BYTES)
    assert sum(map(len, poured)) <= MOST_PARCEL_BYTES


CALLS: tuple[Callable[[EasyTracking], object], ...] = (
    _list,
    _fetch,
    lambda service: service.reserve([1, 2]),
    lambda service: service.reserve_types([1], frozenset({FileType.FI})),
    lambda service: service.set_phase_1([1, 2]),
    lambda service: service.log_in(),
)


def answer(data: bytes) -> None:
    """The bytes of a whole HTTP answer to the call that the first byte selects."""
    call, raw = CALLS[(data or b"\0")[0] % len(CALLS)], data[1:]
    scripts = (raw, raw) if call is CALLS[-1] else (LOGIN, raw, LOGIN, raw)
    with client(*scripts) as service:
        try:
            call(service)
        except SyncError as error:
            _expect_fit_to_print(str(error))


def _expect_fit_to_print(text: str) -> None:
    """One short line without control characters and without our password."""
    assert "password-canary" not in text
    assert text.isprintable(), ascii(text)
    assert len(text) < 1000


def token(data: bytes) -> None:
    """The body of a login's answer."""
    text = read_token(data)
    if text is not None:
        assert text.isascii()
        expiry = read_expiry(text)
        assert expiry is None or abs(expiry) < 1e12
