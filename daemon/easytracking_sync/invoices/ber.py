"""How much there is in a BER element (X.690), told before a library takes it apart in many times the time."""

from __future__ import annotations

from typing import Final

from easytracking_sync.invoices.limits import MOST_BER_DEPTH, MOST_BER_ELEMENTS
from easytracking_sync.invoices.unreadable import Reason, Unreadable

_CONSTRUCTED: Final = 0x20
_LONG_TAG: Final = 0x1F
_INDEFINITE: Final = 0x80
_END: Final = b"\x00\x00"
_UNTIL_END: Final = -1


def bounded(data: bytes) -> bytes:
    """The same bytes; what follows the first element is not looked at.

    Unreadable where elements are too many or nested too deep, or do not fit into each other.
    """
    open_until: list[int] = []
    at = 0
    for _ in range(MOST_BER_ELEMENTS):
        if data[at : at + 2] == _END and open_until and open_until[-1] == _UNTIL_END:
            open_until.pop()
            at += 2
        else:
            constructed, at, end = _header(data, at, _limit(open_until, len(data)))
            if constructed:
                open_until.append(end)
            else:
                at = end
        while open_until and open_until[-1] == at:
            open_until.pop()
        if not open_until:
            return data
        if len(open_until) > MOST_BER_DEPTH:
            break
    raise Unreadable(Reason.TOO_DEEP)


def _header(data: bytes, at: int, limit: int) -> tuple[bool, int, int]:
    """Whether the element there is constructed, where its content begins, and where it ends (or _UNTIL_END)."""
    try:
        tag = data[at]
        at += 1
        if tag & _LONG_TAG == _LONG_TAG:
            while data[at] & 0x80:
                at += 1
            at += 1
        length = data[at]
    except IndexError:
        raise _damaged() from None
    at += 1
    constructed = bool(tag & _CONSTRUCTED)
    if length == _INDEFINITE and constructed:
        return True, at, _UNTIL_END
    if length >= _INDEFINITE:
        size = length & 0x7F
        length = int.from_bytes(data[at : at + size], "big")
        at += size
    if at + length > limit:
        raise _damaged()
    return constructed, at, at + length


def _limit(open_until: list[int], most: int) -> int:
    """The end of the innermost element that has one."""
    return next((end for end in reversed(open_until) if end != _UNTIL_END), most)


def _damaged() -> Unreadable:
    return Unreadable(Reason.UNKNOWN_FORMAT, "damaged envelope")
