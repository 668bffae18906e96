"""Why bytes are no invoice that can be read: the one error that passes between the modules of this room."""

from __future__ import annotations

from enum import StrEnum

from easytracking_sync.errors import Permanent


class Reason(StrEnum):
    """What stands in the way. The values are stored and printed."""

    EMPTY = "empty"
    TOO_LARGE = "too large"
    TOO_MANY_LAYERS = "too many envelopes"
    TOO_DEEP = "too deep or too many elements"
    DETACHED = "signature without content"
    UNKNOWN_FORMAT = "unknown format"
    ARCHIVE = "an archive (zip)"
    ENCODING = "unknown encoding"
    DOCTYPE = "a DOCTYPE, which invoices must not have"
    NOT_XML = "damaged XML"
    UNKNOWN_DOCUMENT = "unknown kind of document"
    HOLLOW = "neither header nor body"


class Unreadable(Permanent):
    """This file is not read. It stays stored, acknowledged and downloadable. `detail` holds no content."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail
