"""`[alerts]`: who is told when something goes wrong, in which language, and from when on it counts as wrong."""

import re
from collections.abc import Iterator
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import unquote

from pydantic import PlainValidator, SecretStr, WrapValidator

from easytracking_sync.settings import address_validators, validators
from easytracking_sync.settings.display import scheme_and_host
from easytracking_sync.settings.section import Section

LEAST_SECRET = 8
"""Shorter parts of an address, but for a password, are words like "html" rather than secrets."""


class Language(StrEnum):
    """What messages are written in."""

    ITALIAN = "it"
    ENGLISH = "en"


class Alerts(Section):
    """`[alerts]`. Addresses are secrets: most of them hold a password or a token."""

    in_files: ClassVar[tuple[str, ...]] = ("urls", "heartbeat_url")

    urls: Annotated[tuple[SecretStr, ...], PlainValidator(address_validators.channels)] = ()
    urls_file: Annotated[Path | None, PlainValidator(validators.optional_path)] = None
    language: Annotated[Language, validators.one_of(Language)] = Language.ITALIAN
    silent_intervals: Annotated[int, validators.whole(1, 1000)] = 4
    backlog_hours: Annotated[int, validators.whole(1, 8760)] = 24
    free_margin_bytes: Annotated[int, validators.whole(0, 10**15)] = 1_000_000_000
    new_invoices: Annotated[bool, PlainValidator(validators.yes_or_no)] = False
    digest: Annotated[time | None, PlainValidator(validators.time_of_day), WrapValidator(validators.unless_empty)] = (
        None
    )
    heartbeat_url: Annotated[SecretStr, PlainValidator(address_validators.heartbeat)] = SecretStr("")
    heartbeat_url_file: Annotated[Path | None, PlainValidator(validators.optional_path)] = None

    @property
    def secrets(self) -> Iterator[str]:
        """What no line may show: the addresses, and what in them may be a password, a token or a key."""
        for url in (*self.urls, self.heartbeat_url):
            text = url.get_secret_value()
            yield text
            rest = text.partition("://")[2]
            login, _, _ = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
            known_host = scheme_and_host(text).partition("://")[2]
            said = re.sub(r"(?<=[?&])[A-Za-z_]+=(?=[^&=])", "", rest)  # an option's name is a word, like "password"
            parts = [part for part in re.split(r"[/?#&=@:,]", said) if len(part) >= LEAST_SECRET]
            for part in (login.partition(":")[2], *parts):
                if part and part != known_host:
                    yield from (part, unquote(part))
