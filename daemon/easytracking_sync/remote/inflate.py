"""Inflates HTTP bodies and zip entries in pieces of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

MOST_PIECE_BYTES: Final = 1024 * 1024


class InflateError(Exception):
    """The bytes are not exactly one complete compressed stream. The text is a predicate: "is cut short"."""


def inflate(pieces: Iterable[bytes], window_bits: int) -> Iterator[bytes]:
    """Inflate one stream into pieces of at most 1 MiB; `window_bits` names the format, as zlib defines it.

    InflateError if the stream is damaged, ends early or is followed by other bytes.
    """
    inflater = zlib.decompressobj(window_bits)
    try:
        for piece in pieces:
            rest = piece
            while rest and not inflater.eof:
                yield inflater.decompress(rest, MOST_PIECE_BYTES)
                rest = inflater.unconsumed_tail
            if inflater.unused_data or (inflater.eof and rest):
                raise InflateError("is followed by other bytes")
        while not inflater.eof and (last := inflater.decompress(b"", MOST_PIECE_BYTES)):
            yield last
    except zlib.error as error:
        raise InflateError("is damaged") from error
    if not inflater.eof:
        raise InflateError("is cut short")
