"""Names at a sink, from a pattern such as `{receiver_piva}/{received:%Y-%m}/{stem}`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from string import Formatter

from easytracking_sync.deliver.consignment import Consignment
from easytracking_sync.errors import UsageError
from easytracking_sync.list_fields import LIST_FIELDS
from easytracking_sync.safe_file_names import collision_key, flat, free_name, parted, safe_name, with_suffix
from easytracking_sync.terms import ParcelFile

DEFAULT = "{stem}"
UNKNOWN = "unknown"
SIDECAR_SUFFIX = ".json"
MOST_FOLDERS = 3
MOST_FOLDER_BYTES = 40
MOST_FILE_BYTES = 100
"""Together at most 223 bytes: Windows limits a whole path to 260 characters, with the share's own."""

_MOST_VALUE = 1024
_DATE_FORMAT = re.compile(r"(%[YmdHMS]|[-_. ])+")
_NUMBER_FORMAT = re.compile(r"0?[1-9]\d?")
_OWN_FIELDS: Mapping[str, type] = {"account": str, "doc_id": int, "version": int, "type": str, "stem": str}
FIELDS: Mapping[str, type] = {
    **_OWN_FIELDS,
    **{field.name: field.type for field in LIST_FIELDS if not field.verbatim},
}

IsTaken = Callable[[str], bool]
"""Whether a name with this `collision_key` is in use at the sink."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A checked pattern. The extension of the file's own name is always appended."""

    text: str

    def __post_init__(self) -> None:
        """UsageError says what is wrong."""
        parts = self.text.split("/")
        if not all(part.strip(" .") for part in parts) or len(parts) > MOST_FOLDERS + 1:
            raise self._wrong(
                f"it must be a name with at most {MOST_FOLDERS} folders before it, each separated by one /"
            )
        try:
            fields = list(Formatter().parse(self.text))
        except ValueError as error:
            raise self._wrong(str(error)) from None
        for _, name, spec, conversion in fields:
            if name is not None:
                self._check(name, spec or "", conversion)

    @property
    def fields(self) -> frozenset[str]:
        """The fields that it uses."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.text) if name)

    def fill(self, consignment: Consignment, file: ParcelFile) -> str:
        """The safe name of this file, with its folders. Other files may have the same one; see `names`."""
        stem, extension = parted(flat(file.name))
        own = {
            "account": consignment.account,
            "doc_id": consignment.doc_id,
            "version": consignment.version,
            "type": file.type,
            "stem": stem,
        }
        *folders, last = [
            "".join(
                literal
                + ("" if name is None else _text(own.get(name, getattr(consignment.listed, name, None)), spec))
                for literal, name, spec, _ in Formatter().parse(part)
            )
            for part in self.text.split("/")
        ]
        name = safe_name(last + extension, MOST_FILE_BYTES)
        if consignment.version > 1 and "version" not in self.fields:
            name = with_suffix(name, f"~v{consignment.version}", MOST_FILE_BYTES)
        return "/".join((*(safe_name(folder, MOST_FOLDER_BYTES) for folder in folders), name))

    def _check(self, name: str, spec: str, conversion: str | None) -> None:
        kind = FIELDS.get(name)
        if kind is None:
            raise self._wrong(f"there is no field {name!r}; use {', '.join(FIELDS)}")
        allowed = _DATE_FORMAT if issubclass(kind, date) else _NUMBER_FORMAT if kind is int else None
        if conversion or (spec and (allowed is None or not allowed.fullmatch(spec))):
            raise self._wrong(f"{name} cannot be written as {spec or conversion!r}; dates take %Y-%m-%d, numbers 08")

    def _wrong(self, reason: str) -> UsageError:
        return UsageError(f"the pattern {self.text!r} cannot be used: {reason}")


def names(pattern: Pattern, consignment: Consignment, is_taken: IsTaken) -> tuple[str, ...]:
    """A free name for each file, in their order, and one for the sidecar: the first file's with `.json`.

    To be chosen once per consignment and kept: later calls may find other names taken.
    """
    mine: set[str] = set()

    def taken(key: str) -> bool:
        return key in mine or is_taken(key)

    def choose(name: str) -> str:
        folder, slash, last = name.rpartition("/")
        free = free_name(last, lambda key: taken(collision_key(folder) + slash + key), MOST_FILE_BYTES)
        mine.add(collision_key(folder + slash + free))
        return folder + slash + free

    files = [choose(pattern.fill(consignment, file)) for file in consignment.files]
    if not files:
        return ()
    folder, slash, last = files[0].rpartition("/")
    room = MOST_FILE_BYTES - len(SIDECAR_SUFFIX)
    return (*files, choose(folder + slash + with_suffix(last, "", room) + SIDECAR_SUFFIX))


def _text(value: object, spec: str | None) -> str:
    if value is None or value == "":
        return UNKNOWN
    return flat(format(value, spec or "") if not isinstance(value, str) else value[:_MOST_VALUE])
