"""A second reading of real files, by regular expressions over the raw text: it shares no line with the reader.

It knows nothing of namespaces, encodings, envelopes but the plainest, or schemas: names of elements, in order.
"""

from __future__ import annotations

import base64
import html
import re
from pathlib import Path

SEGMENT = re.compile(rb"\x04\x82..", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def raw_text(path: Path) -> str:
    """The file's XML as text; a signature around it is simply cut off."""
    data = path.read_bytes()
    if path.name.endswith(".base64.xml.p7m"):
        data = base64.b64decode(b"".join(data.split()))
    if path.name.endswith(".p7m"):
        start = min(at for at in (data.find(b"<?xml"), data.find(b"FatturaElettronica")) if at >= 0)
        data = SEGMENT.sub(b"", data[start:])
        data = data[: data.rfind(b"FatturaElettronica>") + 19]
    return COMMENT.sub("", data.decode("utf-8-sig", "replace").replace("\0", "").replace("\r\n", "\n"))


def inside(text: str, name: str) -> list[str]:
    """The raw content of every element of that name (which does not nest)."""
    pattern = rf"<(?:[\w.]+:)?{name}(?:\s[^>]*)?(?<!/)>(.*?)</(?:[\w.]+:)?{name}\s*>"
    return re.findall(pattern, text, re.DOTALL)


def plain(text: str) -> str:
    """Without entities, CDATA and white space around."""
    return html.unescape(re.sub(r"<!\[CDATA\[(.*?)\]\]>", r"\1", text, flags=re.DOTALL)).strip()


def values(text: str, name: str) -> list[str]:
    """The texts of every element of that name that has any."""
    return [plain(found) for found in inside(text, name) if plain(found)]


def value(text: str, name: str) -> str:
    """The first; empty where there is none."""
    return next(iter(values(text, name)), "")


def without(text: str, *names: str) -> str:
    """The text with these elements cut out."""
    for name in names:
        text = re.sub(
            rf"<(?:[\w.]+:)?{name}(?:\s[^>]*)?(?<!/)>.*?</(?:[\w.]+:)?{name}\s*>", "", text, flags=re.DOTALL
        )
    return text


def leaves(text: str) -> list[tuple[str, str]]:
    """Name and text of every element without children."""
    found = re.findall(r"<(?:[\w.]+:)?([\w.]+)(?:\s[^>]*)?(?<!/)>([^<]+)</", text)
    return [(name, plain(inner)) for name, inner in found if plain(inner)]
