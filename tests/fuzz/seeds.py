"""Seeds: small valid examples, and broken zips of the corpus if it is present."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.invoices import written as invoices

from easytracking_sync.bundled import bundled_folder

CORPUS = Path(__file__).parents[2] / ".." / "shared" / "corpus"
MOST_SEED_BYTES = 100_000

ORDINARY = """
[database]
url = "sqlite:////nowhere/archive.db"
[accounts.acme]
environment = "varhub-staging"
username = "mario"
password = "s3cret"
"""

ELEMENT = {
    "id": 1,
    "senderPIVA": "01234567890",
    "senderCF": None,
    "receiverPIVA": "IT01234567890",
    "receiverCF": "",
    "data": "2026-11-22T00:00:00",
    "number": 12,
    "documentType": "TD01",
    "sdiId": 9999999999,
    "dataRicezione": "2026-11-22 11:59:59.123",
    "fileName": "IT01234567890_00001.xml.p7m",
    "progressivoAnnualeCaricamento": 1,
    "countryChannel": 0,
}
ODD = {"id": "2", "dataRicezione": "2026-11-22T11:59:59+01:00", "number": "\ud800\0", "sdiId": 10**30, "more": [[[]]]}


def listings() -> list[bytes]:
    """Lists: empty, ordinary, unusual, truncated, and a web page."""
    whole = json.dumps({"invoices": [ELEMENT, ODD, None, []], "total": 4}).encode()
    slow = whole.replace(b'"total"', b'"x": NaN, "total"').replace(b"\\ud800", b"\xed\xa0\x80")
    return [b'{"invoices": [], "total": 0}', whole, slow, whole[:-9], b"\xef\xbb\xbf" + whole, b"<html></html>"]


def index_rows(*rows: tuple[object, str, str]) -> bytes:
    """An `indice.json`."""
    return json.dumps(
        {"files": [{"id": one, "fileName": name, "fileType": kind} for one, name, kind in rows]}
    ).encode()


def indices() -> list[bytes]:
    """Indices: valid, colliding, of strangers, unusual."""
    right = index_rows((1, "a.xml", "FA"), (2, "b.xml", "FA"), (1, "folder/c.xml", "MT"))
    return [
        right,
        index_rows((1, "a.xml", "FA"), (2, "a.xml", "FA")),
        index_rows((1, "a.xml", "FA"), (1, "a.xml", "FU"), (3, "C.XML", "fi ")),
        right.decode().encode("utf-16"),
        b'{"FILES": [{"ID": "1", "FileName": "\\u0000../../a.xml"}, 7]}',
    ]


def parcels() -> list[bytes]:
    """Zips: stored, deflated, streamed; and the small ones of the corpus."""
    made = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", method) as zipped:
            zipped.writestr("a.xml", b"<a/>" * 50)
            zipped.writestr("indice.json", index_rows((1, "a.xml", "FA")))
        made.append(packed.getvalue())
    strangers = sorted((CORPUS / "zips").glob("*")) if CORPUS.is_dir() else []
    return [
        *made,
        packed.getvalue(),
        *(path.read_bytes() for path in strangers if path.stat().st_size < MOST_SEED_BYTES),
    ]


def said(status: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of an HTTP answer."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answers() -> list[bytes]:
    """The known answers of each call, after a byte that selects the call."""
    whole = listings()[1]
    zipped = parcels()[1]
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nPK\3\r\n0\r\n\r\n"
    job = json.dumps({"jobId": "0b0e1a52-7d7e-4a3c-9a52-53a1f4d4c001"}).encode()
    page = b"<html><head><title>x</title></head><body>Manutenzione &egrave;</body></html>"
    known = {
        0: [
            said("200 OK", whole),
            said("200 OK", gzip.compress(whole), Content_Encoding="gzip"),
            said("200 OK", zlib.compress(whole), Content_Encoding="deflate"),
            said("413 Payload Too Large"),
            said("200 OK", page, Content_Type="text/html; charset=x"),
        ],
        1: [said("200 OK", zipped, Content_Type="application/zip"), chunked, said("202 Accepted", Retry_After="5")],
        2: [said("202 Accepted", job), said("403 Forbidden", b'{"message": "docId 1 \\u001b[31m"}')],
        3: [
            said("429 Too Many", Retry_After="Sun, 22 Nov 2026 12:05:00 GMT"),
            said("302 Found", Location="http://["),
        ],
        4: [
            said("200 OK", b"{}"),
            said("401 No", b"password-canary"),
            said("500 Oh", page, Content_Type="text/html"),
        ],
        5: [said("200 OK", b'"eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTU0MzUyMDB9.s"'), said("401 No", b'"no"')],
    }
    return [bytes([call]) + answer for call, told in known.items() for answer in told]


def tokens() -> list[bytes]:
    """Bodies of logins' answers."""
    return [b'"eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTU0MzUyMDB9.s"', b"opaque", b'"\\u0061"', b"\xef\xbb\xbfa.e30.b"]


def configurations() -> list[bytes]:
    """All examples bundled with the program, and a few invalid ones."""
    examples = [path.read_bytes() for path in sorted(bundled_folder("config").glob("*.toml"))]
    crons = (
        f'{ORDINARY}cron = "{cron}"\n'.encode() for cron in ("*/15 6-22 * * mon-fri", "0 0 30 2 *", "5-1 * * * *")
    )
    return [*examples, ORDINARY.encode(), *crons, b'timezone = "/"', b'[accounts]\n"\\u0000" = 1', b"x = 1_000e999"]


def variables() -> list[bytes]:
    """NAME=value, without the prefix."""
    return [
        b"SYNC__WORKERS=4",
        b"TIMEZONE=Europe/Roma",
        b"ACCOUNTS__ACME__PASSWORD=hunter2",
        b"ACCOUNTS__ACME__CRON=59-0/90 * 31 2 7",
        b"ACCOUNTS__ACME__HISTORY_FROM=9999-12-31",
        b"ACCOUNTS__ACME__BASE_URL=http://[::1]:99999/",
        b"STORAGE__SPOOL=\xff/",
    ]


def invoice_files() -> list[bytes]:
    """Invoices written for the tests, in every encoding and envelope; and those of the corpus that are small."""
    texts = [invoices.ORDINARY, invoices.SIMPLIFIED, invoices.UBL]
    plain = texts[0].encode()
    odd = b"<FatturaElettronica><FatturaElettronicaBody/><FatturaElettronicaBody/></FatturaElettronica>"
    return [
        *(text.encode() for text in texts),
        *(texts[0].encode(encoding, "replace") for encoding in ("utf-16", "latin-1")),
        odd,
        b"<CrossIndustryInvoice><A>1</A></CrossIndustryInvoice>",
        base64.encodebytes(invoices.unsigned_envelope(plain)),
        invoices.segmented_envelope(plain),
        invoices.segmented_envelope(plain)[:-9],
        *_of_corpus("fatturapa", "ubl-ro"),
    ]


def envelopes() -> list[bytes]:
    """Signed envelopes: those of the corpus, one without a signer, SDI's metadata."""
    metadata = b"<FileMetadati><Hash>00</Hash><NomeFile>a</NomeFile></FileMetadati>"
    return [invoices.unsigned_envelope(b"<a/>"), invoices.pem(b"\x30\x80"), metadata, *_of_corpus("p7m", "metadata")]


def _of_corpus(*folders: str) -> list[bytes]:
    if not CORPUS.is_dir():
        return []
    paths = [path for folder in folders for path in sorted((CORPUS / folder).iterdir())]
    return [path.read_bytes() for path in paths if path.stat().st_size < MOST_SEED_BYTES]


SEEDS: Mapping[str, Callable[[], list[bytes]]] = {
    "listing": listings,
    "index": indices,
    "parcel": parcels,
    "answer": answers,
    "token": tokens,
    "configuration": configurations,
    "variable": variables,
    "invoice": invoice_files,
    "envelope": envelopes,
}
"""By target."""
