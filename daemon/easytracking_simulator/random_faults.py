"""Random faults of all calls, for soak runs; a correct client loses nothing."""

from __future__ import annotations

from easytracking_simulator.faults import Fault, Faults, Kind, Rate, bad_zip, lost, odd_element, status, torn

MEBIBYTE = 1 << 20
COMMON = (
    status(500),
    status(502, body=b"<html>Bad Gateway</html>"),
    status(503, retry_after="2"),
    status(503, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
    status(429, retry_after="1000000"),
    status(429),
    status(503, applied=True),
    Fault(kind=Kind.HTML),
    Fault(kind=Kind.EMPTY),
    Fault(kind=Kind.GARBAGE),
    Fault(kind=Kind.UNREACHABLE),
    Fault(kind=Kind.TIMEOUT, seconds=1.0),
    lost(),
)
BODIES = (torn(), torn(framed=False), Fault(kind=Kind.CLOSE_DELIMITED), Fault(kind=Kind.TRUNCATED))
LISTS = (
    *BODIES,
    status(413),
    status(401),
    Fault(kind=Kind.TOTAL_ABOVE),
    *(odd_element(variety) for variety in ("null-id", "word-id", "no-id", "not-an-object", "null", "twice")),
)
RESERVES = (status(401), status(403), Fault(kind=Kind.TRUNCATED))
FETCHES = (
    *BODIES,
    *(status(code) for code in (400, 401, 403, 404)),
    Fault(kind=Kind.PENDING),
    Fault(kind=Kind.EXPIRED),
    bad_zip("lying-size", size=3 * MEBIBYTE),
    *(
        bad_zip(variety)
        for variety in (
            *("other-batch", "missing", "extra", "twice", "nothing", "no-index", "index-empty", "index-bom"),
            *("index-upper", "index-cut", "index-text-ids", "index-odd-rows", "folder", "backslashes", "unindexed"),
            *("stray", "absent", "bad-crc", "encrypted", "unknown-method", "overlap", "symlink", "html-before"),
        )
    ),
)
ACKNOWLEDGEMENTS = (status(401), status(403))


def random_faults(chance: float) -> Faults:
    """Standing faults that each call meets with about this chance (0 to 1).

    Excluded is what no client can detect or survive: other bytes with a valid checksum, other names in a valid
    index, a list that is empty without an error, a refused login.
    """
    families = {
        "token": COMMON,
        "list": COMMON + LISTS,
        "reserve": COMMON + RESERVES,
        "fetch": COMMON + FETCHES,
        "phase": COMMON + ACKNOWLEDGEMENTS,
    }
    rates = (
        Rate(call=call, chance=chance / len(faults), fault=fault)
        for call, faults in families.items()
        for fault in faults
    )
    return Faults(rates=tuple(rates))
