"""Mutates seeds, as a fuzzer without coverage guidance does."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

TELLING = (
    b"",
    b"\0",
    b"\xff",
    b"PK\x05\x06",
    b"\xff\xff\xff\xff",
    b'"',
    b"}",
    b"[",
    b"\r\n",
    b"1e999",
    b"-1",
    b"\\ud800",
    b"<",
    b"</a>",
    b"<![CDATA[",
    b"<!DOCTYPE a [",
    b"&#0;",
    b"\x30\x80",
    b"\x04\x82\x03\xe8",
)


@st.composite
def spoilt(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with up to four pieces removed, or replaced by a special value or another piece."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        first, second = sorted(draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        second = min(second, first + draw(st.sampled_from((0, 1, 4, 40, len(data)))))
        other = draw(st.sampled_from(seeds))
        at = draw(st.integers(0, len(other)))
        piece = draw(st.one_of(st.sampled_from(TELLING), st.binary(max_size=4), st.just(other[at : at + 60])))
        data = data[:first] + piece + data[second:]
    return data
