"""Inflates deflate streams in steps, so that memory stays bounded whatever a stream expands to."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

RAW = -zlib.MAX_WBITS
"""The window bits of a stream without header and checksum, as in a zip."""


class TrailingBytes(zlib.error):
    """Something follows the end of the stream."""


class CutShort(zlib.error):
    """The stream ends before its end mark."""


def inflated(pieces: Iterable[bytes], window_bits: int, step_bytes: int) -> Iterator[bytes]:
    """The stream's content in pieces of at most `step_bytes`. zlib.error if it is damaged, or not just one stream."""
    inflater = zlib.decompressobj(window_bits)
    for piece in pieces:
        rest = piece
        while rest and not inflater.eof:
            yield inflater.decompress(rest, step_bytes)
            rest = inflater.unconsumed_tail
        if inflater.unused_data or (inflater.eof and rest):
            raise TrailingBytes("something follows the compressed content")
    while not inflater.eof and (last := inflater.decompress(b"", step_bytes)):
        yield last
    if not inflater.eof:
        raise CutShort("the compressed content is cut short")
